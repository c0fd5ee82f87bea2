// @ts-check
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const {
  Kind,
  buildASTSchema,
  buildSchema,
  findBreakingChanges,
  findDangerousChanges,
  isInputObjectType,
  parse,
  print,
  visit,
} = require('graphql');
const { changelogProblems } = require('./changelog');
const { openapiChanges } = require('./evolution-openapi');
const { ROOT, StepFailure } = require('./tools');

/** @typedef {import('graphql').DocumentNode} DocumentNode */
/** @typedef {import('graphql').GraphQLSchema} GraphQLSchema */

/** Minimum time from deprecation to removal, in months. */
const NOTICE_MONTHS = 6;

/** Checks that every promise of the last release is kept, or its last day has passed, and that CHANGELOG.md names each new part. */
async function checkEvolution() {
  const read = (/** @type {string} */ file) => readFileSync(join(ROOT, file), 'utf8');
  const released = { schema: read('test/contract/released.graphql'), openapi: JSON.parse(read('test/contract/released.openapi.json')) };
  const present = { schema: read('schema.graphql'), openapi: JSON.parse(read('openapi.json')) };
  const today = new Date().toISOString().slice(0, 10);
  const problems = [
    ...forbiddenChanges(released.schema, present.schema, today),
    ...deprecationProblems(released.schema, present.schema, dayOf(released.schema)),
    ...openapiChanges(released.openapi, present.openapi, today),
    ...changelogProblems(read('CHANGELOG.md'), {
      ...newsOf(released.schema, present.schema),
      ...routesOf(released.openapi, present.openapi),
    }),
  ];
  if (problems.length > 0) throw new StepFailure(problems.join('\n'));
  return `since ${released.schema
    .split('\n', 1)[0]
    ?.replace(/^# /, '')
    .replace(/[.:].*$/, '')}`;
}

/**
 * Returns one sentence for each change that breaks a client of the released schema. A part may be removed if the release had it as
 * deprecated and its last day has passed; so may the types that only this part used. New enum values, optional arguments and types are
 * allowed, because the contract says so.
 * @param {string} released
 * @param {string} present
 * @param {string} today YYYY-MM-DD
 */
function forbiddenChanges(released, present, today) {
  const before = buildASTSchema(withoutWhatIsDue(parse(released), today), { assumeValid: true });
  const after = buildSchema(present);
  const defaults = findDangerousChanges(before, after).filter(({ type }) => type === 'ARG_DEFAULT_VALUE_CHANGE');
  return [
    ...[...findBreakingChanges(before, after), ...defaults].map(({ type, description }) => `${type}: ${description}`),
    ...changedInputDefaults(before, after).map((place) => `INPUT_DEFAULT_VALUE_CHANGE: ${place} has another default value.`),
  ];
}

/**
 * Returns one sentence for each wrong deprecation: a new one that stays under six months after the last release, and an old one with
 * a day earlier than promised.
 * @param {string} released
 * @param {string} present
 * @param {string} from the day of the last release
 */
function deprecationProblems(released, present, from) {
  const earlier = deprecations(parse(released));
  const earliest = monthsAfter(from, NOTICE_MONTHS);
  return [...deprecations(parse(present))].flatMap(([place, day]) => {
    if (day === undefined) return [`${place} is deprecated without a day: end its reason with "Removed after YYYY-MM-DD."`];
    const promised = earlier.get(place);
    if (earlier.has(place))
      return promised !== undefined && day < promised ? [`${place} was promised until ${promised}, and now stays only until ${day}.`] : [];
    return day < earliest ? [`${place} may not be removed after ${day}: a new deprecation stays until ${earliest} at least.`] : [];
  });
}

/**
 * Returns the root fields, deprecations and removals of a schema since the released one.
 * @param {string} released
 * @param {string} present
 */
function newsOf(released, present) {
  const [before, after] = [rootFields(buildSchema(released)), rootFields(buildSchema(present))];
  const earlier = deprecations(parse(released));
  const presentPlaces = places(parse(present));
  return {
    added: after.filter((name) => !before.includes(name)),
    deprecated: [...deprecations(parse(present)).keys()].filter((place) => !earlier.has(place)),
    removed: [...earlier.keys()].filter((place) => !presentPlaces.has(place)),
  };
}

/**
 * @param {{ paths: Record<string, object> }} released
 * @param {{ paths: Record<string, object> }} present
 */
function routesOf(released, present) {
  return { addedPaths: Object.keys(present.paths).filter((path) => !(path in released.paths)) };
}

/** @param {GraphQLSchema} schema */
function rootFields(schema) {
  return [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
    Object.keys(type?.getFields() ?? {}),
  );
}

/**
 * Returns the document without the deprecated parts with a last day before today, and without the types that only these parts used.
 * @param {DocumentNode} document
 * @param {string} today
 * @returns {DocumentNode}
 */
function withoutWhatIsDue(document, today) {
  /** @param {any} node */
  const due = (node) => ((day) => (day !== undefined && day < today ? null : undefined))(dayOfDeprecation(node));
  const pruned = visit(document, { FieldDefinition: due, InputValueDefinition: due, EnumValueDefinition: due });
  const [before, after] = [reached(document), reached(pruned)];
  return {
    ...pruned,
    definitions: pruned.definitions.filter(
      (node) => !('name' in node && node.name && before.has(node.name.value) && !after.has(node.name.value)),
    ),
  };
}

/**
 * Returns the names of the types that can be reached from the roots through fields and arguments. An object type that is reachable only
 * through an interface is not included.
 * @param {DocumentNode} document
 */
function reached(document) {
  const types = new Map(document.definitions.flatMap((node) => ('name' in node && node.name ? [[node.name.value, node]] : [])));
  /** @type {Set<string>} */
  const seen = new Set();
  /** @param {string} name */
  const follow = (name) => {
    const node = types.get(name);
    if (!node || seen.has(name)) return;
    seen.add(name);
    visit({ ...node, interfaces: [] }, { NamedType: ({ name: { value } }) => follow(value) });
  };
  for (const root of ['Query', 'Mutation', 'Subscription']) follow(root);
  return seen;
}

/**
 * Returns every deprecated place of a document with its last day, or undefined if its reason does not end with one.
 * @param {DocumentNode} document
 */
function deprecations(document) {
  return new Map([...places(document)].flatMap(([place, node]) => (deprecationOf(node) ? [[place, dayOfDeprecation(node)]] : [])));
}

/**
 * Returns fields, arguments and enum values by their places, such as `Query.key` and `Query.key(id)`.
 * @param {DocumentNode} document
 * @returns {Map<string, any>}
 */
function places(document) {
  const found = new Map();
  for (const type of document.definitions) {
    if (!('name' in type) || !type.name) continue;
    const parts = ('fields' in type && type.fields) || ('values' in type && type.values) || [];
    for (const part of parts) {
      const place = `${type.name.value}.${part.name.value}`;
      found.set(place, part);
      if ('arguments' in part) for (const argument of part.arguments ?? []) found.set(`${place}(${argument.name.value})`, argument);
    }
  }
  return found;
}

/** @param {{ directives?: readonly import('graphql').ConstDirectiveNode[] }} node */
function deprecationOf({ directives = [] }) {
  return directives.find(({ name }) => name.value === 'deprecated');
}

/** @param {{ directives?: readonly import('graphql').ConstDirectiveNode[] }} node */
function dayOfDeprecation(node) {
  const reason = deprecationOf(node)?.arguments?.find(({ name }) => name.value === 'reason')?.value;
  return reason?.kind === Kind.STRING ? /Removed after (\d{4}-\d{2}-\d{2})\.$/.exec(reason.value)?.[1] : undefined;
}

/**
 * Returns the input fields with another default value. graphql-js compares only the default values of arguments.
 * @param {GraphQLSchema} before
 * @param {GraphQLSchema} after
 */
function changedInputDefaults(before, after) {
  return Object.values(before.getTypeMap()).flatMap((type) => {
    const present = after.getType(type.name);
    if (!isInputObjectType(type) || !isInputObjectType(present)) return [];
    return Object.values(type.getFields()).flatMap(({ name, astNode }) => {
      const field = present.getFields()[name];
      const [old, now] = [astNode?.defaultValue, field?.astNode?.defaultValue].map((value) => (value ? print(value) : undefined));
      return field && old !== undefined && old !== now ? [`${type.name}.${name}`] : [];
    });
  });
}

/**
 * Returns the release day of a released schema, which stands in its first line.
 * @param {string} released
 */
function dayOf(released) {
  const day = /^#.*?(\d{4}-\d{2}-\d{2})/.exec(released)?.[1];
  if (!day) throw new StepFailure('The first line of test/contract/released.graphql has no day. Add one: YYYY-MM-DD.');
  return day;
}

/**
 * @param {string} day
 * @param {number} months
 */
function monthsAfter(day, months) {
  const date = new Date(`${day}T00:00:00Z`);
  const wanted = date.getUTCMonth() + months;
  date.setUTCMonth(wanted);
  if (date.getUTCMonth() !== wanted % 12) date.setUTCDate(0); // the wanted month is shorter: take its last day
  return date.toISOString().slice(0, 10);
}

module.exports = { checkEvolution, deprecationProblems, forbiddenChanges, monthsAfter, newsOf, withoutWhatIsDue, NOTICE_MONTHS };
