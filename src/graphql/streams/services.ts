import type { FastifyRequest } from 'fastify';
import type { GraphQLError, GraphQLFormattedError, GraphQLSchema } from 'graphql';
import type { Places } from '../../access/places';
import type { GraphQLContext } from '../context';
import type { DocumentRules } from './document';
import type { Pace } from './pace';

/** What a client that cannot set headers says instead. */
export interface Credentials {
  authorization?: string | undefined;
  'x-api-key'?: string | undefined;
}

/** What both kinds of streams need. */
export interface StreamServices {
  schema: GraphQLSchema;
  rules: DocumentRules;
  /** Who asks, by the headers of a request and what came in their place. Rejects with UNAUTHENTICATED where nobody does. */
  recognise(request: FastifyRequest, credentials?: Credentials): Promise<GraphQLContext>;
  /** Who asked before, as they stand now; rejects with UNAUTHENTICATED where their credential has ended. */
  again(viewer: GraphQLContext, request: FastifyRequest, credentials?: Credentials): Promise<GraphQLContext>;
  /** An error as a client may read it. */
  tell(error: GraphQLError): GraphQLFormattedError;
  /** Told what nobody expected, for the log. */
  report(error: unknown): void;
  connections: Places;
  streams: Places;
  pace: Pace;
}

/** How long a client may take for what it was sent when the server parts from it; then its connection is cut. */
export const GOODBYE_MS = 1_000;
