// @ts-check
const Sequencer = require('@jest/test-sequencer').default;

/** Files that take long. They start first. If one started last, the whole run would wait for it. */
const LONG_NAMES = [
  'database\\.(connections|failover)',
  'docs\\.pure',
  'documents',
  'examples\\.pure',
  'faults',
  'gate\\.(outage|packets)',
  'graphiql\\.walk\\.pure',
  'ledger\\.properties\\.pure',
  'process\\.(commands|kill|refusals|signals)',
  'rest\\.export\\.long',
  'simulation\\.pure',
  'streams\\.places\\.pure',
  'tenancy',
];
const LONG = new RegExp(`/(${LONG_NAMES.join('|')})\\.test\\.ts$`);

module.exports = class extends Sequencer {
  /** @override @param {import('@jest/test-result').Test[]} tests */
  sort(tests) {
    const sorted = /** @type {import('@jest/test-result').Test[]} */ (super.sort(tests));
    return [...sorted.filter(({ path }) => LONG.test(path)), ...sorted.filter(({ path }) => !LONG.test(path))];
  }
};
