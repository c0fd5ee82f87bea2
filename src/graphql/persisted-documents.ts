import type { ApolloServerPlugin } from '@apollo/server';
import type { GraphQLContext } from './context';

/** Documents that a process keeps, to be asked for by their hashes; the one that was not asked for longest goes. */
const MAX_PERSISTED_DOCUMENTS = 1_000;
/** The longest of them, in characters. */
const MAX_PERSISTED_DOCUMENT_LENGTH = 16_384;

/** Documents by their hashes, as Apollo's automatic persisted queries want them kept: bounded, whoever sends what. */
export class PersistedDocuments {
  /** In the order in which they were asked for. */
  private readonly documents = new Map<string, string>();

  async get(hash: string): Promise<string | undefined> {
    const document = this.documents.get(hash);
    if (document !== undefined) this.put(hash, document);
    return document;
  }

  async set(hash: string, document: string): Promise<void> {
    this.put(hash, document);
    const [oldest] = this.documents.keys();
    if (oldest !== undefined && this.documents.size > MAX_PERSISTED_DOCUMENTS) this.documents.delete(oldest);
  }

  async delete(hash: string): Promise<boolean> {
    return this.documents.delete(hash);
  }

  private put(hash: string, document: string): void {
    this.documents.delete(hash);
    this.documents.set(hash, document);
  }
}

/** Keeps only what somebody sent who has said who they are, and nothing huge: what is refused before comes as far as this for nobody. */
export function persistOnlyForKnown(): ApolloServerPlugin<GraphQLContext> {
  return {
    requestDidStart: async () => ({
      didResolveOperation: async ({ metrics, source, contextValue }) => {
        if (contextValue.principal === null || source.length > MAX_PERSISTED_DOCUMENT_LENGTH) metrics.persistedQueryRegister = false;
      },
    }),
  };
}
