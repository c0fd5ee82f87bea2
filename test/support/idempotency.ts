import { randomUUID } from 'node:crypto';
import { IdempotencyKey } from '../../src/access/idempotency-key.entity';
import { AuditEvent } from '../../src/audit/event.entity';
import type { TestApp } from './app';

interface Ask {
  node?: TestApp;
  key?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** The functions of the tests of Idempotency-Keys. `nodesOf` returns the servers that they use. */
export function idempotency(nodesOf: () => [TestApp, TestApp]) {
  async function ask(
    query: string,
    variables: Record<string, unknown>,
    { node = nodesOf()[0], key = randomUUID(), headers = { 'x-api-key': node.rootKey }, signal }: Ask = {},
  ) {
    const response = await fetch(`${node.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key, ...headers },
      body: JSON.stringify({ query, variables }),
      ...(signal && { signal }),
    });
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the shape of its answer
    const { data, errors, extensions: { cost: _, ...others } = {} } = (await response.json()) as any;
    const extensions = Object.keys(others).length > 0 ? others : undefined;
    const reason = errors?.[0]?.extensions.reason as string | undefined;
    return {
      status: response.status,
      replayed: response.headers.get('idempotent-replayed'),
      retryAfter: response.headers.get('retry-after'),
      data,
      errors,
      extensions,
      reason,
    };
  }

  /** Runs work with the clocks of both nodes moved forward, then resets them. */
  async function later<T>(ms: number, work: () => Promise<T>): Promise<T> {
    for (const node of nodesOf()) node.travel(ms);
    try {
      return await work();
    } finally {
      for (const node of nodesOf()) node.travel(-ms);
    }
  }

  const countEvents = () => nodesOf()[0].database.reader.count(AuditEvent);
  const stored = (key: string) => nodesOf()[0].database.reader.findOneBy(IdempotencyKey, { idempotencyKey: key });

  return { ask, later, countEvents, stored };
}

export const MINT = 'mutation ($input: MintKeyInput!) { mintKey(input: $input) { secret key { id name hint } } }';
