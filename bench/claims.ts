import type { Claim, Results } from './summary';
import { TARGETS, type TargetName } from './targets';
import { BATCH, EXECUTE, VERIFY, VERIFY_BATCHES } from './verify';

// The claims about speed, each with its measured value.

const GATES: TargetName[] = ['mariadb', 'sqlite'];
/** Statements per second that do not belong to a call: the sweep, and the check whether a sweep is due. */
const STATEMENTS_BESIDE_CALLS = 20;

/** Returns a verdict for each claim that the measurements cover. */
export function judge(results: Results): Claim[] {
  return [
    ...ofBare(results, 'hot', 128, 0.5),
    ...ofBare(results, 'hot', 512, 0.6),
    ...ofBare(results, 'garbage', 128, 0.9),
    ...ofBare(results, 'garbage', 512, 0.9),
    ...ofBare(results, 'refused', 128, 0.8),
    ...ofBare(results, 'refused', 512, 0.8),
    ...ofBare(results, 'route', 128, 0.5),
    ...GATES.flatMap((target) => verifies(results, target)),
    ...GATES.flatMap((target) => noSql(results, target)),
    ...GATES.flatMap((target) => steady(results, target)),
    ...GATES.flatMap((target) => alone(results, target)),
    ...GATES.flatMap((target) => isolated(results, target)),
    ...noErrors(results),
  ];
}

const title = (target: TargetName): string => TARGETS[target].title;
const atLeast = (sentence: string, value: number, bound: number): Claim => ({ sentence, measured: value.toFixed(2), ok: value >= bound });

const OF_BARE = { hot: 'calls of one hot project', garbage: 'garbage keys', refused: 'refusals for rate', route: 'calls by a route' };

function ofBare(results: Results, scenario: keyof typeof OF_BARE, connections: number, bound: number): Claim[] {
  const base = scenario === 'route' ? 'a bare proxy' : 'a bare route';
  return GATES.flatMap((target) => {
    const cell = results.find(scenario, target, connections);
    if (!cell || Number.isNaN(cell.ofBare)) return [];
    return [atLeast(`${title(target)}: ${OF_BARE[scenario]} at ${connections} connections reach ${bound} of ${base}`, cell.ofBare, bound)];
  });
}

function verifies(results: Results, target: TargetName): Claim[] {
  const bounds = [
    { part: VERIFY, what: 'verifications that charge reach 1.2 of the calls of execute', bound: 1.2 },
    { part: VERIFY_BATCHES, what: `keys verified in batches of ${BATCH} reach 4 times the calls of execute`, bound: 4 },
  ];
  return bounds.flatMap(({ part, what, bound }) => {
    const ratio = results.ratio('verify', target, part, EXECUTE, (cell) => cell.callsPerSecond);
    return ratio === undefined ? [] : [atLeast(`${title(target)}: ${what}`, ratio, bound)];
  });
}

function noSql(results: Results, target: TargetName): Claim[] {
  return results.summaries('garbage').flatMap((cell) => {
    if (cell.target !== target || cell.sqlStatements === undefined) return [];
    const { sqlStatements, calls, callsPerSecond, connections } = cell;
    const ok = sqlStatements <= STATEMENTS_BESIDE_CALLS * Math.ceil(calls / callsPerSecond);
    const sentence = `${title(target)}: garbage keys at ${connections} connections cost no SQL`;
    return [{ sentence, measured: `${sqlStatements} statements in ${calls} calls`, ok }];
  });
}

function steady(results: Results, target: TargetName): Claim[] {
  const cell = results.find('hot', target, 512);
  if (!cell) return [];
  const ratio = cell.p99Us / cell.p50Us;
  const sentence = `${title(target)}: 512 connections cause no error, and the p99 is under 10 times the p50`;
  const measured = `${cell.errors} errors, p99 is ${ratio.toFixed(1)} times p50`;
  return [{ sentence, measured, ok: cell.errors === 0 && ratio < 10 }];
}

function alone(results: Results, target: TargetName): Claim[] {
  const ratio = results.ratio('alone', target, 'a call', 'two commits', (cell) => cell.p50Us);
  if (ratio === undefined) return [];
  return [
    { sentence: `${title(target)}: a call alone takes at most 3 times two single-row commits`, measured: ratio.toFixed(2), ok: ratio <= 3 },
  ];
}

function isolated(results: Results, target: TargetName): Claim[] {
  return ['beside a slow upstream', 'beside a locked budget'].flatMap((part) => {
    const ratio = results.ratio('isolation', target, part, 'alone', (cell) => cell.callsPerSecond);
    return ratio === undefined ? [] : [atLeast(`${title(target)}: ${part}, another project keeps 0.9 of its throughput`, ratio, 0.9)];
  });
}

function noErrors(results: Results): Claim[] {
  const broken = results.measurements.filter((cell) => GATES.includes(cell.target) && cell.errors > 0);
  if (results.measurements.every((cell) => !GATES.includes(cell.target))) return [];
  const measured = broken.map((cell) => `${cell.scenario} on ${cell.target} at ${cell.connections}: ${cell.errors}`).join(', ') || 'none';
  return [{ sentence: 'Every call on either gate gets the answer that its scenario expects', measured, ok: broken.length === 0 }];
}
