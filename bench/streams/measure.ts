import type { Options } from '../options';
import { untilQuiet } from '../processes';
import type { RunningTarget, Stage } from '../targets';
import { eventMs, hold } from './events';
import type { StreamFigures } from './figures';
import { memoryOfStreams } from './memory';
import { downMiBPerSecond, upMiBPerSecond } from './throughput';

const HOLD_SECONDS = 60;
const QUICK_HOLD_SECONDS = 5;

/**
 * Measures the streams of one server. The bare proxy has only throughput. The memory is measured on MariaDB only, because streams use no
 * database. The streams that are held for a minute are measured in the first round only.
 */
export async function measureStreams(
  { name, server, furniture: { hot: secret } }: RunningTarget,
  stage: Stage,
  round: number,
  { seconds, quick }: Options,
): Promise<StreamFigures> {
  await untilQuiet([server.pid]);
  const place = { url: server.url, secret };
  const throughput = {
    target: name,
    round,
    downMiBPerSecond: await downMiBPerSecond(place, seconds),
    upMiBPerSecond: await upMiBPerSecond(place, seconds),
  };
  if (name === 'proxy') return throughput;
  const direct = { url: stage.upstream.server.url, secret };
  return {
    ...throughput,
    eventMs: { direct: await eventMs(direct, seconds), through: await eventMs(place, seconds) },
    ...(name === 'mariadb' && { memoryMiB: await memoryOfStreams(stage, secret) }),
    ...(round === 1 && { held: await hold(place, quick ? QUICK_HOLD_SECONDS : HOLD_SECONDS) }),
  };
}
