/** What the schema says of an object's version. */
export const VERSION = 'Grows by one with each change of its properties. Given as `expectedVersion`, a change is made to what you have seen and to nothing newer.';

/** What the schema says of a version in an input. */
export const EXPECTED_VERSION =
  'The `version` that the change is meant for: where there is another one, nothing is changed, and CONFLICT tells it in `extensions.currentVersion`.';
