import { registerEnumType } from 'type-graphql';

export enum Environment {
  LIVE = 'LIVE',
  TEST = 'TEST',
}
registerEnumType(Environment, {
  name: 'Environment',
  description: 'TEST calls run and are logged like LIVE calls, but are free.',
  valuesConfig: {
    LIVE: { description: 'Calls are billed.' },
    TEST: { description: 'Calls are free.' },
  },
});
