// @ts-check
const Sequencer = require('@jest/test-sequencer').default;

/** Short files that take long, as they start processes or reckon: begun last, one of them would keep everybody waiting. */
const LONG = /\/(faults|simulation\.pure|graphiql\.walk|docs\.pure|process\.(kill|refusals|commands|signals)|database\.(connections|failover)|documents|gate\.(outage|packets)|rest\.export\.long|tenancy|ledger\.properties\.pure)\.test\.ts$/;

module.exports = class extends Sequencer {
  /** @override @param {import('@jest/test-result').Test[]} tests */
  sort(tests) {
    const sorted = /** @type {import('@jest/test-result').Test[]} */ (super.sort(tests));
    return [...sorted.filter(({ path }) => LONG.test(path)), ...sorted.filter(({ path }) => !LONG.test(path))];
  }
};
