import { Command, InvalidArgumentError, Option } from 'commander';
import { SCENARIOS, type ScenarioName } from './scenarios';
import { TARGETS, type TargetName } from './targets';

/** What `npm run bench` was asked for. */
export interface Options {
  rounds: number;
  seconds: number;
  warmUpSeconds: number;
  patience: number;
  scenarios: ScenarioName[];
  targets: TargetName[];
  /** Those that are wanted of the ones that a scenario has; all where absent. */
  connections: number[] | undefined;
  quick: boolean;
  strict: boolean;
  /** Where to write what was measured, as JSON. */
  json: string | undefined;
  profile: TargetName | undefined;
  /** Whether it is the whole bench, whose results are worth keeping. */
  whole: boolean;
}

const DEFAULTS = { rounds: 3, seconds: 3, warmUpSeconds: 1 };
const QUICK = { rounds: 1, seconds: 1, warmUpSeconds: 1 };

interface Given {
  rounds?: number;
  seconds?: number;
  only?: string[];
  targets?: string[];
  connections?: number[];
  quick?: true;
  strict?: true;
  json?: string | true;
  patience?: number;
  profile?: string;
}

/** Reads the arguments of the command line; prints the help, or what is wrong, and ends the process where they ask for that. */
export function readOptions(argv: string[]): Options {
  const scenarioNames = Object.keys(SCENARIOS) as ScenarioName[];
  const targetNames = Object.keys(TARGETS) as TargetName[];
  const given = new Command('npm run bench --')
    .description('Measures the gate beside what it is compared with, in turns, on this machine.')
    .option('--rounds <n>', `how often each cell is measured (${DEFAULTS.rounds})`, whole)
    .option('--seconds <n>', `how long each time (${DEFAULTS.seconds})`, whole)
    .option('--only <names>', `scenarios: ${scenarioNames.join(', ')}`, listOf(scenarioNames))
    .option('--targets <names>', `what to compare: ${targetNames.join(', ')}`, listOf(targetNames))
    .option('--connections <numbers>', 'of those that a scenario has', (text) => text.split(',').map(whole))
    .option('--quick', 'a smoke test: one round of a second a cell; its numbers are rough')
    .option('--patience <seconds>', 'on a machine that others use: wait so long before a cell, and measure again what they disturbed', whole)
    .option('--strict', 'exit code 1 where a target is missed')
    .option('--json [file]', 'write what was measured as JSON (data/bench.json)')
    .addOption(new Option('--profile <target>', 'instead: where the time of a server goes, at 128 connections and in the hot project unless --connections and --only say else').choices(targetNames))
    .parse(argv)
    .opts<Given>();
  const usual = given.quick ? QUICK : DEFAULTS;
  return {
    rounds: given.rounds ?? usual.rounds,
    seconds: given.seconds ?? usual.seconds,
    warmUpSeconds: usual.warmUpSeconds,
    patience: given.patience ?? 0,
    scenarios: scenarioNames.filter((name) => given.only?.includes(name) ?? true),
    targets: targetNames.filter((name) => given.targets?.includes(name) ?? true),
    connections: given.connections,
    quick: given.quick === true,
    strict: given.strict === true,
    json: given.json === true ? 'data/bench.json' : given.json,
    profile: given.profile as TargetName | undefined,
    whole: !given.quick && !given.only && !given.targets && !given.connections,
  };
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 10_000) throw new InvalidArgumentError('must be a whole number from 1 to 10,000.');
  return value;
}

function listOf(known: readonly string[]): (text: string) => string[] {
  return (text) => {
    const names = text.split(',');
    const unknown = names.filter((name) => !known.includes(name));
    if (unknown.length > 0) throw new InvalidArgumentError(`there is no ${unknown.join(', ')}.`);
    return names;
  };
}
