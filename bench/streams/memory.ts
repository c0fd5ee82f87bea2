import { setTimeout as wait } from 'node:timers/promises';
import { residentBytes, type ServerProcess } from '../processes';
import { startAnotherGate, type Stage } from '../targets';
import { answerTo, get, put, readBytes, type Place } from './client';

// Memory of a stream whose reader has stopped. All buffers on its way are full then, so no stream needs more.

const MIB = 1_048_576;
const STREAMS = 100;
/** More than the buffers of all connections of a stream. */
const STREAM_BYTES = 32 * MIB;
const WARM_UP_CALLS = 200;
const STEADY_MS = 1_000;
const STEADY_TRIES = 20;

/**
 * Measures how much the process grows for each stalled stream. Each direction has a new process: a process that has had streams before
 * would use their memory again and not grow.
 */
export async function memoryOfStreams(stage: Stage, secret: string): Promise<{ down: number; up: number }> {
  return { down: await growthOf(stage, secret, stalledDownload), up: await growthOf(stage, secret, stalledUpload) };
}

/** Opens a stream that stalls. Returns a function that ends it. */
type Open = (place: Place) => Promise<() => void>;

/** The caller does not read the answer. */
const stalledDownload: Open = async (place) => {
  const response = await get(place, `/bench/download?bytes=${STREAM_BYTES}`);
  response.on('error', () => undefined);
  return () => response.destroy();
};

/** The upstream does not read the body. */
const stalledUpload: Open = async (place) => {
  const sending = put(place, '/bench/stuck', STREAM_BYTES).on('error', () => undefined);
  return () => sending.destroy();
};

async function growthOf(stage: Stage, secret: string, open: Open): Promise<number> {
  const server = await startAnotherGate(stage, {});
  const place = { url: server.url, secret };
  const ends: (() => void)[] = [];
  try {
    await warmUp(place);
    const idle = await steadyBytes(server);
    for (let count = 0; count < STREAMS; count += 1) ends.push(await open(place));
    return ((await steadyBytes(server)) - idle) / STREAMS / MIB;
  } finally {
    for (const end of ends) end();
    await server.stop();
  }
}

/** Loads the code of both directions. */
async function warmUp(place: Place): Promise<void> {
  for (let calls = 0; calls < WARM_UP_CALLS; calls += 1) {
    await readBytes(await get(place, '/bench/download?bytes=1000'));
    await readBytes(await answerTo(put(place, '/bench/upload', 1_000)));
  }
}

/** Waits until the memory of a process grows by less than 1% in a second. Returns it. */
async function steadyBytes({ pid }: ServerProcess): Promise<number> {
  let bytes = residentBytes(pid);
  for (let tries = 0; tries < STEADY_TRIES; tries += 1) {
    await wait(STEADY_MS);
    const before = bytes;
    bytes = residentBytes(pid);
    if (bytes - before < before / 100) break;
  }
  return bytes;
}
