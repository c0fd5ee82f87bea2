import type { TestApp } from './app';
import { until } from './until';

/**
 * Sends requests, and resolves when `count` of those who ask have been recognised: they have their places by then, and whoever asks after
 * them cannot have taken one of these.
 */
export async function recognised({ principals }: Pick<TestApp, 'principals'>, count: number, send: () => void): Promise<void> {
  const spy = jest.spyOn(principals, 'bySecret');
  send();
  await until(() => spy.mock.calls.length >= count, 'all to be asked who they are');
  await Promise.allSettled(spy.mock.results.map(({ value }) => value as Promise<unknown>));
  spy.mockRestore();
}
