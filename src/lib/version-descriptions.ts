/** The description of an object's version in the schema. */
export const VERSION =
  'Increases by one with each change. Pass it as `expectedVersion`, so that a change applies only to the version that you have read.';

/** The description of an expected version in an input. */
export const EXPECTED_VERSION =
  'The `version` that the change is meant for. If the current version is another one, nothing changes, and CONFLICT has the current ' +
  'version in `extensions.currentVersion`.';
