import type { TestApp } from './app';
import { until } from './until';

/**
 * Sends requests, and resolves when `count` of their callers have been authenticated. These requests then have their places, so a later
 * request cannot take one of them.
 */
export async function recognised({ authenticator }: Pick<TestApp, 'authenticator'>, count: number, send: () => void): Promise<void> {
  const spy = jest.spyOn(authenticator, 'bySecret');
  send();
  await until(() => spy.mock.calls.length >= count, 'the authentication of all callers');
  await Promise.allSettled(spy.mock.results.map(({ value }) => value as Promise<unknown>));
  spy.mockRestore();
}
