import type { Table } from '../report';
import { TARGETS, type TargetName } from '../targets';
import { medianOf, ofProxy, type StreamFigures } from './figures';

/** The tables of the streams. A table without rows was not measured. */
export function streamTables(all: readonly StreamFigures[]): Table[] {
  return [throughput(all), events(all), held(all), memory(all)];
}

const targetsOf = (all: readonly StreamFigures[]): TargetName[] => [...new Set(all.map(({ target }) => target))];
const shown = (value: number | undefined, digits = 2): string => value?.toFixed(digits) ?? '-';

function throughput(all: readonly StreamFigures[]): Table {
  const down = (figures: StreamFigures): number => figures.downMiBPerSecond;
  const up = (figures: StreamFigures): number => figures.upMiBPerSecond;
  return {
    title: 'One stream of 100 MiB through a route, compared with a bare Fastify proxy',
    head: ['server', 'down MiB/s', 'of bare', 'up MiB/s', 'of bare'],
    rows: targetsOf(all).map((target) => [
      TARGETS[target].title,
      shown(medianOf(all, target, down), 0),
      shown(ofProxy(all, target, down)),
      shown(medianOf(all, target, up), 0),
      shown(ofProxy(all, target, up)),
    ]),
  };
}

function events(all: readonly StreamFigures[]): Table {
  return {
    title: 'Time of a server-sent event from the upstream to the caller',
    head: ['server', 'direct, p50 ms', 'through the route, p50 ms', 'more, ms'],
    rows: targetsOf(all.filter(({ eventMs }) => eventMs)).map((target) => [
      TARGETS[target].title,
      shown(medianOf(all, target, ({ eventMs }) => eventMs?.direct)),
      shown(medianOf(all, target, ({ eventMs }) => eventMs?.through)),
      shown(medianOf(all, target, moreMs)),
    ]),
  };
}

/** How much longer an event takes through the server than directly. */
export const moreMs = ({ eventMs }: StreamFigures): number | undefined => eventMs && eventMs.through - eventMs.direct;

function held(all: readonly StreamFigures[]): Table {
  return {
    title: 'Many streams at once, each with an event every second',
    head: ['server', 'streams', 'seconds', 'lost', 'p50 ms', 'p99 ms'],
    rows: all.flatMap(({ target, held: streams }) =>
      streams
        ? [
            [
              TARGETS[target].title,
              streams.streams.toLocaleString('en-US'),
              String(streams.seconds),
              String(streams.lost),
              shown(streams.p50Ms),
              shown(streams.p99Ms),
            ],
          ]
        : [],
    ),
  };
}

function memory(all: readonly StreamFigures[]): Table {
  return {
    title: 'Memory of the server process for each stream whose reader has stopped',
    head: ['server', 'the caller does not read, MiB', 'the upstream does not read, MiB'],
    rows: targetsOf(all.filter(({ memoryMiB }) => memoryMiB)).map((target) => [
      TARGETS[target].title,
      shown(medianOf(all, target, ({ memoryMiB }) => memoryMiB?.down)),
      shown(medianOf(all, target, ({ memoryMiB }) => memoryMiB?.up)),
    ]),
  };
}
