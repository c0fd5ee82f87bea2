import type { FastifyRequest } from 'fastify';
import type { GraphQLError, GraphQLFormattedError, GraphQLSchema } from 'graphql';
import type { Places } from '../../access/places';
import type { GraphQLContext } from '../../graphql/context';
import type { DocumentRules } from './document';
import type { Pace } from './pace';

/** The credentials of a client that cannot set headers. */
export interface Credentials {
  authorization?: string | undefined;
  'x-api-key'?: string | undefined;
}

/** The dependencies of both kinds of streams. */
export interface StreamServices {
  schema: GraphQLSchema;
  rules: DocumentRules;
  /** Authenticates a request, by its headers or by `credentials`. Rejects with UNAUTHENTICATED if it has no valid credential. */
  recognise(request: FastifyRequest, credentials?: Credentials): Promise<GraphQLContext>;
  /** Authenticates the caller again. Rejects with UNAUTHENTICATED if the credential has ended. */
  again(viewer: GraphQLContext, request: FastifyRequest, credentials?: Credentials): Promise<GraphQLContext>;
  /** Formats an error for the client. */
  tell(error: GraphQLError): GraphQLFormattedError;
  /** Logs an unexpected error. */
  report(error: unknown): void;
  connections: Places;
  streams: Places;
  pace: Pace;
}

/** Time for a client to read its last results after the server ends a stream. The connection is cut after that. */
export const GOODBYE_MS = 1_000;
