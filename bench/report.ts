import type { Machine } from './machine';
import type { Claim, Results, Summary } from './summary';
import { SCENARIOS, isCallScenario, type ScenarioName } from './scenarios';
import type { StreamFigures } from './streams/figures';
import { streamTables } from './streams/report';
import { TARGETS, type TargetName } from './targets';
import { EXECUTE } from './verify';

export interface Table {
  title: string;
  head: string[];
  rows: string[][];
}

export interface Report {
  machine: Machine;
  command: string;
  results: Results;
  streams: readonly StreamFigures[];
  claims: Claim[];
}

/** Renders the report as an aligned text for a terminal. */
export function asText(report: Report): string {
  const sections = tables(report).map((table) => `\n${table.title}\n${aligned(table)}`);
  return [...notes(report), ...sections, `\nClaims\n${claimLines(report.claims)}`].join('\n');
}

/** Renders the report as Markdown. */
export function asMarkdown(report: Report): string {
  const sections = tables(report).map(({ title, head, rows }) => {
    const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
    return `## ${title}\n\n${[line(head), line(head.map((_, at) => (at === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n')}\n`;
  });
  const claims = report.claims.map(({ sentence, measured, ok }) => `- ${ok ? 'ok' : '**FAIL**'}: ${sentence} (${measured})`);
  const intro = 'Written by `npm run bench`. bench/README.md explains the comparison.';
  return [
    '# Results of the bench\n',
    `${intro}\n`,
    ...notes(report).map((note) => `- ${note}`),
    '',
    ...sections,
    '## Claims\n',
    ...claims,
    '',
  ].join('\n');
}

function claimLines(claims: Claim[]): string {
  return claims.map(({ sentence, measured, ok }) => `${ok ? 'ok  ' : 'FAIL'}  ${sentence} (${measured})`).join('\n');
}

function notes({ machine, command, results, streams }: Report): string[] {
  const strangers = results.measurements
    .map((cell) => cell.strangersCores)
    .filter((share) => !Number.isNaN(share))
    .sort((a, b) => a - b);
  const at = (share: number) => (strangers[Math.floor((strangers.length - 1) * share)] ?? NaN).toFixed(2);
  const rounds = new Set([...results.measurements, ...streams].map(({ round }) => round)).size;
  return [
    `${machine.date}, command: ${command}`,
    `${machine.cores} cores (${machine.model}), shared by server, database and load generator`,
    `Node ${machine.node}, ${machine.database}, wrk ${machine.wrk}`,
    `commits are durable: ${machine.durability}; a write of 4 KiB with fdatasync takes ${machine.syncUs.toFixed(0)} us (median)`,
    `medians of ${rounds} rounds; a ratio is the median of the ratios in each round`,
    ...(strangers.length > 0
      ? [`unrelated processes of this machine used ${at(0.5)} cores during the median cell, and ${at(1)} during the busiest`]
      : []),
  ];
}

function tables({ results, streams }: Report): Table[] {
  const calls = (Object.keys(SCENARIOS) as ScenarioName[]).filter(isCallScenario);
  const details = calls.map((name) => detail(results, name));
  const others = [verification(results), alone(results), isolation(results), full(results), ...streamTables(streams)];
  const all = [overview(results), multiples(results), ...details, ...others];
  return all.filter(({ rows }) => rows.length > 0);
}

/** The most important table: each server's throughput as a share of the bare route's. */
function overview(results: Results): Table {
  const cells = results.summaries('hot');
  const connections = [...new Set(cells.map((cell) => cell.connections))].sort((a, b) => a - b);
  const show = (cell: Summary | undefined) => (cell ? `${cell.ofBare.toFixed(2)} (${thousands(cell.callsPerSecond)}/s)` : '');
  return {
    title: 'Throughput as a share of a bare Fastify route, one hot project',
    head: ['connections', ...connections.map(String)],
    rows: targetsOf(cells).map((target) => [
      TARGETS[target].title,
      ...connections.map((count) => show(results.find('hot', target, count))),
    ]),
  };
}

/** The gate's throughput as a multiple of the others', on the same MariaDB server. */
function multiples(results: Results): Table {
  const cells = results.summaries('hot');
  const connections = [...new Set(cells.map((cell) => cell.connections))].sort((a, b) => a - b);
  const rivals = targetsOf(cells).filter((name) => name === 'transaction' || name === 'better-auth');
  const times = (rival: TargetName, count: number) => results.times('hot', 'mariadb', rival, count);
  return {
    title: 'Throughput of Tollgate on MariaDB as a multiple of other servers, one hot project',
    head: ['connections', ...connections.map(String)],
    rows: rivals.map((rival) => [TARGETS[rival].title, ...connections.map((count) => times(rival, count)?.toFixed(1) ?? '-')]),
  };
}

function detail(results: Results, scenario: ScenarioName): Table {
  return {
    title: SCENARIOS[scenario].title,
    head: ['connections', 'server', 'calls/s', 'of bare', 'p50 ms', 'p99 ms', 'refused', 'errors', 'server us', 'database us'],
    rows: results
      .summaries(scenario)
      .sort((a, b) => a.connections - b.connections)
      .map((cell) => [
        String(cell.connections),
        TARGETS[cell.target].title,
        thousands(cell.callsPerSecond),
        cell.ofBare.toFixed(2),
        ms(cell.p50Us),
        ms(cell.p99Us),
        percent(cell.refused / cell.calls),
        String(cell.errors),
        cell.cpuUs.server.toFixed(0),
        TARGETS[cell.target].onMariadb ? cell.cpuUs.database.toFixed(0) : '-',
      ]),
  };
}

function alone(results: Results): Table {
  const cells = results.summaries('alone');
  return {
    title: 'One caller alone, compared with two single-row commits in a row on the same database',
    head: ['server', 'a call, p50 ms', 'two commits, p50 ms', 'ratio'],
    rows: targetsOf(cells).map((target) => {
      const p50 = (part: string) => ms(results.find('alone', target, 1, part)?.p50Us ?? NaN);
      const ratio = results.ratio('alone', target, 'a call', 'two commits', (cell) => cell.p50Us);
      return [TARGETS[target].title, p50('a call'), p50('two commits'), (ratio ?? NaN).toFixed(2)];
    }),
  };
}

function isolation(results: Results): Table {
  return {
    title: 'One hot project beside a neighbour in trouble',
    head: ['connections', 'server', 'hot project', 'calls/s', 'of alone', 'p50 ms', 'p99 ms', 'errors'],
    rows: results.summaries('isolation').map(({ target, part, connections, callsPerSecond, p50Us, p99Us, errors }) => {
      const ratio = results.ratio('isolation', target, part, 'alone', (cell) => cell.callsPerSecond) ?? NaN;
      return [
        String(connections),
        TARGETS[target].title,
        part,
        thousands(callsPerSecond),
        ratio.toFixed(2),
        ms(p50Us),
        ms(p99Us),
        String(errors),
      ];
    }),
  };
}

function verification(results: Results): Table {
  return {
    title: 'Verifications that charge, compared with execute of a built-in action',
    head: ['connections', 'server', 'calls', 'keys/s', 'of execute', 'p50 ms', 'p99 ms', 'errors', 'server us', 'database us'],
    rows: results.summaries('verify').map((cell) => [
      String(cell.connections),
      TARGETS[cell.target].title,
      cell.part,
      thousands(cell.callsPerSecond),
      (results.ratio('verify', cell.target, cell.part, EXECUTE, (other) => other.callsPerSecond) ?? NaN).toFixed(2),
      ms(cell.p50Us),
      ms(cell.p99Us),
      String(cell.errors),
      cell.cpuUs.server.toFixed(0),
      TARGETS[cell.target].onMariadb ? cell.cpuUs.database.toFixed(0) : '-',
    ]),
  };
}

function full(results: Results): Table {
  return {
    title: 'Above the limit of calls in flight',
    head: ['connections', 'server', 'answers/s', '503', 'p50 ms', 'p99 ms', 'errors'],
    rows: results
      .summaries('full')
      .map(({ target, connections, callsPerSecond, refused, calls, p50Us, p99Us, errors }) => [
        String(connections),
        TARGETS[target].title,
        thousands(callsPerSecond),
        percent(refused / calls),
        ms(p50Us),
        ms(p99Us),
        String(errors),
      ]),
  };
}

function targetsOf(cells: Summary[]): TargetName[] {
  return [...new Set(cells.map((cell) => cell.target))];
}

const thousands = (value: number): string => Math.round(value).toLocaleString('en-US');
const ms = (us: number): string => (us / 1000).toFixed(2);
const percent = (share: number): string => (Number.isNaN(share) ? '-' : `${(share * 100).toFixed(0)}%`);

/** Renders a table as text, with numbers aligned to the right. */
export function aligned({ head, rows }: Pick<Table, 'head' | 'rows'>): string {
  const lines = [head, ...rows];
  const widths = head.map((_, at) => Math.max(...lines.map((cells) => (cells[at] ?? '').length)));
  const numeric = head.map((_, at) => at > 0 && rows.every((cells) => /^$|^[\d.,%() /s-]+$/.test(cells[at] ?? '')));
  const padded = (cell: string, at: number) => (numeric[at] ? cell.padStart(widths[at] as number) : cell.padEnd(widths[at] as number));
  return lines.map((cells) => cells.map(padded).join('  ').trimEnd()).join('\n');
}
