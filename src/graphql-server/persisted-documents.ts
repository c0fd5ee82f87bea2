import type { ApolloServerPlugin } from '@apollo/server';
import type { GraphQLContext } from '../graphql/context';

/** Maximum documents in the cache of a process. The least recently used one is evicted. */
const MAX_PERSISTED_DOCUMENTS = 1_000;
/** Maximum length of a cached document, in characters. */
const MAX_PERSISTED_DOCUMENT_LENGTH = 16_384;

/** A bounded cache of documents by their hashes, for Apollo's automatic persisted queries. */
export class PersistedDocuments {
  /** Ordered by last use, oldest first. */
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

/** Stores only documents of authenticated callers, up to the maximum length. Refused documents fail earlier and are not stored. */
export function persistOnlyForKnown(): ApolloServerPlugin<GraphQLContext> {
  return {
    requestDidStart: async () => ({
      didResolveOperation: async ({ metrics, source, contextValue }) => {
        if (contextValue.principal === null || source.length > MAX_PERSISTED_DOCUMENT_LENGTH) metrics.persistedQueryRegister = false;
      },
    }),
  };
}
