import type { IncomingMessage } from 'node:http';
import { get, type Place } from './client';
import { quantile, type HeldStreams } from './figures';

// Server-sent events. Each event says when the upstream has sent it, by a clock that all processes of the machine share.

const SINGLE_EVERY_MS = 20;
const HELD_EVERY_MS = 1_000;
const HELD_STREAMS = 1_000;
const OPENED_AT_ONCE = 50;

/** Reads the events of an answer, and tells how long each has taken, in milliseconds. */
function readEvents(response: IncomingMessage, onEvent: (ms: number) => void): void {
  let text = '';
  response.setEncoding('latin1').on('data', (chunk: string) => {
    const nowUs = Number(process.hrtime.bigint() / 1_000n);
    text += chunk;
    const events = text.split('\n\n');
    text = events.pop() as string;
    for (const event of events) onEvent((nowUs - Number(event.slice('data: '.length))) / 1_000);
  });
}

/** Measures one stream of events. Returns the median time of an event, in milliseconds. */
export async function eventMs(place: Place, seconds: number): Promise<number> {
  const { times, ended } = await open(place, pathOf(SINGLE_EVERY_MS, (seconds * 1_000) / SINGLE_EVERY_MS));
  await ended;
  return quantile(times, 0.5);
}

const pathOf = (everyMs: number, count: number): string => `/bench/events?ms=${everyMs}&count=${count}`;

/** Holds 1,000 streams for `seconds`, each with an event every second. Counts the events from when all streams are open. */
export async function hold({ url, secret }: Place, seconds: number): Promise<HeldStreams> {
  const path = pathOf(HELD_EVERY_MS, seconds);
  const streams: HeldStream[] = [];
  while (streams.length < HELD_STREAMS) {
    // Every second stream goes to the second origin, because one project may not take all places of an origin
    const paths = Array.from({ length: OPENED_AT_ONCE }, (_, at) => (at % 2 === 0 ? path : `/second${path}`));
    streams.push(...(await Promise.all(paths.map((each) => open({ url, secret }, each)))));
  }
  const before = streams.map(({ times }) => times.length);
  await Promise.all(streams.map(({ ended }) => ended));
  const times = streams.flatMap((stream, at) => stream.times.slice(before[at]));
  const lost = streams.filter((stream) => !stream.response.complete || stream.times.length < seconds).length;
  return { streams: streams.length, seconds, lost, p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) };
}

interface HeldStream {
  response: IncomingMessage;
  times: number[];
  ended: Promise<void>;
}

async function open(place: Place, path: string): Promise<HeldStream> {
  const response = await get(place, path);
  const times: number[] = [];
  readEvents(response, (ms) => times.push(ms));
  response.on('error', () => undefined); // `complete` tells
  return { response, times, ended: new Promise((resolve) => response.once('close', resolve)) };
}
