import type { Claim } from '../summary';
import { TARGETS, type TargetName } from '../targets';
import { medianOf, ofProxy, type StreamFigures } from './figures';
import { moreMs } from './report';

const LEAST_OF_PROXY = 0.7;
const MOST_MEMORY_MIB = 1;
const MOST_EVENT_MS = 2;
const MOST_LATE_MS = 100;

/** Returns a verdict for each claim about streams that the figures cover. */
export function judgeStreams(all: readonly StreamFigures[]): Claim[] {
  return (['mariadb', 'sqlite'] as const).flatMap((target) => [
    ...throughput(all, target),
    ...memory(all, target),
    ...events(all, target),
    ...held(all, target),
  ]);
}

const about = (target: TargetName, rest: string): string => `${TARGETS[target].title}: ${rest}`;

function throughput(all: readonly StreamFigures[], target: TargetName): Claim[] {
  const ratios = [
    { direction: 'down', ratio: ofProxy(all, target, (figures) => figures.downMiBPerSecond) },
    { direction: 'up', ratio: ofProxy(all, target, (figures) => figures.upMiBPerSecond) },
  ];
  return ratios.flatMap(({ direction, ratio }) => {
    if (ratio === undefined) return [];
    const sentence = about(target, `a stream of 100 MiB ${direction} reaches ${LEAST_OF_PROXY} of a bare proxy`);
    return [{ sentence, measured: ratio.toFixed(2), ok: ratio >= LEAST_OF_PROXY }];
  });
}

function memory(all: readonly StreamFigures[], target: TargetName): Claim[] {
  const most = medianOf(all, target, ({ memoryMiB }) => memoryMiB && Math.max(memoryMiB.down, memoryMiB.up));
  if (most === undefined) return [];
  const sentence = about(target, `a stream takes at most ${MOST_MEMORY_MIB} MiB of memory`);
  return [{ sentence, measured: `${most.toFixed(2)} MiB`, ok: most <= MOST_MEMORY_MIB }];
}

function events(all: readonly StreamFigures[], target: TargetName): Claim[] {
  const more = medianOf(all, target, moreMs);
  if (more === undefined) return [];
  const sentence = about(target, `a server-sent event takes at most ${MOST_EVENT_MS} ms more than directly`);
  return [{ sentence, measured: `${more.toFixed(2)} ms`, ok: more <= MOST_EVENT_MS }];
}

function held(all: readonly StreamFigures[], target: TargetName): Claim[] {
  return all.flatMap((figures) => {
    if (figures.target !== target || !figures.held) return [];
    const { streams, seconds, lost, p99Ms } = figures.held;
    const what = `${streams.toLocaleString('en-US')} streams with an event each second for ${seconds} s`;
    const sentence = about(target, `${what}: none is lost, and the p99 of an event is at most ${MOST_LATE_MS} ms`);
    return [{ sentence, measured: `${lost} lost, ${p99Ms.toFixed(1)} ms`, ok: lost === 0 && p99Ms <= MOST_LATE_MS }];
  });
}
