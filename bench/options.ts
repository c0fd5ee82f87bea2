import { Command, InvalidArgumentError, Option } from 'commander';
import { SCENARIOS, type ScenarioName } from './scenarios';
import { TARGETS, type TargetName } from './targets';

/** The options of `npm run bench`. */
export interface Options {
  rounds: number;
  seconds: number;
  warmUpSeconds: number;
  patience: number;
  scenarios: ScenarioName[];
  targets: TargetName[];
  /** Limits each scenario to these numbers of connections. If undefined, every number of the scenario is measured. */
  connections: number[] | undefined;
  quick: boolean;
  strict: boolean;
  /** File that gets the measurements as JSON. */
  json: string | undefined;
  profile: TargetName | undefined;
  /** True if nothing is left out. Only then RESULTS.md is written. */
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

/** Reads the arguments of the command line. Prints the help or an error and ends the process if they ask for help or are wrong. */
export function readOptions(argv: string[]): Options {
  const scenarioNames = Object.keys(SCENARIOS) as ScenarioName[];
  const targetNames = Object.keys(TARGETS) as TargetName[];
  const given = new Command('npm run bench --')
    .description('Measures the gate and the servers it is compared with, in turns, on this machine.')
    .option('--rounds <n>', `how often each cell is measured (${DEFAULTS.rounds})`, whole)
    .option('--seconds <n>', `seconds per measurement (${DEFAULTS.seconds})`, whole)
    .option('--only <names>', `scenarios: ${scenarioNames.join(', ')}`, listOf(scenarioNames))
    .option('--targets <names>', `servers to compare: ${targetNames.join(', ')}`, listOf(targetNames))
    .option('--connections <numbers>', 'measure only these numbers of connections', (text) => text.split(',').map(whole))
    .option('--quick', 'a smoke test: one round, one second per cell; its numbers are rough')
    .option(
      '--patience <seconds>',
      'for a shared machine: wait up to this long for quiet before a cell, repeat disturbed measurements',
      whole,
    )
    .option('--strict', 'exit with code 1 if a claim is missed')
    .option('--json [file]', 'write the measurements as JSON (data/bench.json)')
    .addOption(
      new Option('--profile <target>', "profile a server's time instead (default: 128 connections, scenario hot)").choices(targetNames),
    )
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
  if (!Number.isInteger(value) || value < 1 || value > 10_000) throw new InvalidArgumentError('Give a whole number from 1 to 10,000.');
  return value;
}

function listOf(known: readonly string[]): (text: string) => string[] {
  return (text) => {
    const names = text.split(',');
    const unknown = names.filter((name) => !known.includes(name));
    if (unknown.length > 0) throw new InvalidArgumentError(`Unknown: ${unknown.join(', ')}. Choose from: ${known.join(', ')}.`);
    return names;
  };
}
