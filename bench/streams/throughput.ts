import { answerTo, get, put, readBytes, type Place } from './client';

const MIB = 1_048_576;
const STREAM_BYTES = 100 * MIB;

/** Downloads streams of 100 MiB, one after another. Returns MiB per second. */
export function downMiBPerSecond(place: Place, seconds: number): Promise<number> {
  return repeated(seconds, async () => readBytes(await get(place, `/bench/download?bytes=${STREAM_BYTES}`)));
}

/** Uploads streams of 100 MiB, one after another. Returns MiB per second. */
export function upMiBPerSecond(place: Place, seconds: number): Promise<number> {
  return repeated(seconds, async () => {
    let text = '';
    for await (const chunk of await answerTo(put(place, '/bench/upload', STREAM_BYTES))) text += String(chunk);
    return Number(text);
  });
}

/** Transfers one stream that does not count, then streams until `seconds` have passed. */
async function repeated(seconds: number, transfer: () => Promise<number>): Promise<number> {
  const checked = async (): Promise<void> => {
    const bytes = await transfer();
    if (bytes !== STREAM_BYTES) throw new Error(`A stream had ${bytes} bytes instead of ${STREAM_BYTES}.`);
  };
  await checked();
  const started = performance.now();
  let streams = 0;
  for (; performance.now() - started < seconds * 1_000; streams += 1) await checked();
  return (streams * STREAM_BYTES) / MIB / ((performance.now() - started) / 1_000);
}
