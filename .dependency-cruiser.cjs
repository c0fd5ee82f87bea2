// @ts-check
// Who may import whom, type imports counted. The comment of a rule is printed with its violations: it says what to do instead.

const BASE = ['^src/lib/', '^src/errors\\.ts$', '^src/config\\.ts$'];
const STORE = [...BASE, '^src/db/', '^src/audit/'];
const ENTITIES = '\\.(entity|entities)\\.ts$';
/** Entity types, and the one enum of the schema that several features have and none of their entities owns. */
const SCHEMA_TYPES = [`^src/.+${ENTITIES}`, '^src/tenancy/environment\\.ts$'];
const RESOLVERS = '\\.resolver\\.ts$';

/** Everything of ours; the rest of an `allowed` list is taken out of it. */
const OURS = '^(src/|test/|bench/|scripts/|[^/]+\\.[cm]?[jt]s$)';

/** Each folder of a feature, and whom it may import beside itself. Resolvers follow a rule of their own. */
const FEATURES = {
  tenancy: [],
  access: ['tenancy'],
  keys: ['access', 'tenancy'],
  'service-accounts': ['access', 'tenancy'],
  wallet: ['access', 'tenancy'],
  actions: ['access', 'tenancy'],
  requests: ['access', 'tenancy'],
  oauth: ['service-accounts', 'access', 'tenancy'],
  gate: ['oauth', 'keys', 'service-accounts', 'access', 'wallet', 'actions', 'requests', 'tenancy'],
};

const FOLDERS = ['lib', 'db', 'audit', 'graphql', 'rest', 'pages', 'docs', ...Object.keys(FEATURES)];
const FILES = ['main', 'app', 'schema', 'services', 'cli', 'config', 'errors', 'entities', 'demo'];

/**
 * `from` may import `allowed` of ours and nothing else of ours.
 * @param {string} name
 * @param {{ path: string | string[], pathNot?: string | string[] }} from
 * @param {string[]} allowed
 * @param {string} comment
 */
function only(name, from, allowed, comment) {
  return { name, severity: 'error', comment, from, to: { path: OURS, pathNot: allowed } };
}

const features = Object.entries(FEATURES).map(([folder, others]) =>
  only(
    `${folder}-imports`,
    { path: `^src/${folder}/`, pathNot: RESOLVERS },
    [...STORE, ...[folder, ...others].map((name) => `^src/${name}/`)],
    `${folder}/ may import ${others.join(', ') || 'no feature'}, lib, db, audit, errors and config. ` +
      'Let the owner of the data do it (a field of its own resolver, a function that is handed in by app.ts), and pass ids, not objects of strangers.',
  ),
);

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      comment: 'Files that import each other, if only a type, are one file in two: move what both need into a third, lower one.',
      from: {},
      to: { circular: true },
    },
    only('lib-imports', { path: '^src/lib/' }, ['^src/lib/'], 'lib/ is pure and knows nothing of ours: hand in what it needs as an argument, or move the code to the feature.'),
    only('errors-imports', { path: '^src/errors\\.ts$' }, [], 'errors.ts is a table that everybody may import, so it imports nothing of ours.'),
    only('config-imports', { path: '^src/config\\.ts$' }, ['^src/lib/'], 'config.ts may use lib/ and nothing else of ours: read the value here, and let app.ts hand it on.'),
    only('db-imports', { path: '^src/db/' }, ['^src/db/', ...BASE], 'db/ imports lib, errors and config only: entities and migrations are handed in by app.ts and ormconfig.ts.'),
    {
      name: 'db-is-handed-its-migrations',
      severity: 'error',
      comment: 'Only who opens a database imports db/migrations, and hands them to Database.open.',
      from: { path: '^src/', pathNot: ['^src/db/migrations/', '^src/(app|main|cli)\\.ts$'] },
      to: { path: '^src/db/migrations/' },
    },
    only('audit-imports', { path: '^src/audit/', pathNot: RESOLVERS }, ['^src/audit/', '^src/db/', '^src/lib/', '^src/errors\\.ts$'], 'audit/ imports lib, errors and db (for its columns) only: whoever records an event hands in all that it tells.'),
    ...features,
    only(
      'resolver-imports',
      { path: '^src/([^/]+)/.*\\.resolver\\.ts$', pathNot: '^src/graphql/node\\.resolver\\.ts$' }, // Query.node knows every type
      [...BASE, '^src/$1/', '^src/access/', ...SCHEMA_TYPES, '^src/graphql/(context|loaders)(\\.ts$|/)'],
      'A resolver authorises, calls its own service and presents: beside its own feature it may import access/, entity types (*.entity.ts), graphql/context and graphql/loaders. ' +
        'Let its own service, or a loader in the context, do what needs another feature.',
    ),
    {
      name: 'resolvers-belong-to-the-app',
      severity: 'error',
      comment: 'Only schema.ts imports a resolver: move what is to be shared into the service beside it.',
      from: { path: '^(src/|ormconfig)', pathNot: '^src/schema\\.ts$' },
      to: { path: RESOLVERS },
    },
    {
      name: 'gate-has-few-callers',
      severity: 'error',
      comment: 'Only graphql/context.ts, rest/, app.ts and cli.ts import the gate: take the principal from the context, or let app.ts hand the function in.',
      from: { path: '^(src/|ormconfig)', pathNot: ['^src/(gate|rest)/', '^src/(app|cli)\\.ts$', '^src/graphql/context\\.ts$'] },
      to: { path: '^src/gate/', pathNot: ENTITIES },
    },
    only('pages-imports', { path: '^src/pages/' }, [...BASE, '^src/pages/', '^src/access/', '^src/oauth/'], 'pages/ is a server: it imports services and principals of access/ and oauth/, lib and errors; app.ts hands in the rest.'),
    only('docs-imports', { path: '^src/docs/' }, [...BASE, '^src/docs/'], 'docs/ shows what it is handed: app.ts hands in the schema, the OpenAPI document and what servers make of errors.'),
    {
      name: 'servers-are-above',
      severity: 'error',
      comment: 'Services know no protocol: throw a TollgateError and return plain objects; graphql/, rest/ and pages/ translate.',
      from: { path: '^src/', pathNot: ['^src/(graphql|rest|pages|docs)/', '^src/(app|schema|main|cli)\\.ts$', RESOLVERS] },
      to: { path: ['^src/(graphql|rest|pages|docs)/', '(^|/)node_modules/(@apollo|@as-integrations|@fastify|fastify)/'] },
    },
    {
      name: 'app-is-on-top',
      severity: 'error',
      comment: 'app.ts, with schema.ts and services.ts, knows everyone and is known by main.ts, cli.ts and demo.ts alone, and these by no one below: take what you need as an argument of your constructor.',
      from: { path: '^(src/|ormconfig)', pathNot: '^src/(app|schema|services|main|cli|demo)\\.ts$' },
      to: { path: '^src/(app|schema|services|main|cli|demo)\\.ts$' },
    },
    {
      name: 'starters-are-not-imported',
      severity: 'error',
      comment: 'main.ts and cli.ts start a process when they are loaded: move what is to be shared into app.ts or below.',
      from: {},
      to: { path: '^src/(main|cli)\\.ts$' },
    },
    only('entities-imports', { path: '^src/entities\\.ts$' }, [`^src/.+${ENTITIES}`], 'entities.ts is the list of entities: it imports *.entity.ts and *.entities.ts and nothing else of ours.'),
    {
      name: 'entities-list-is-handed-in',
      severity: 'error',
      comment: 'Only who opens a database imports the list of entities: a feature imports the entities that it uses.',
      from: { path: '^src/', pathNot: '^src/(app|main|cli)\\.ts$' },
      to: { path: '^src/entities\\.ts$' },
    },
    only('ormconfig-imports', { path: '^ormconfig\\.ts$' }, ['^src/config\\.ts$', '^src/db/', '^src/entities\\.ts$'], "ormconfig.ts is for TypeORM's command line: config, db and the list of entities, nothing else."),
    {
      name: 'every-folder-has-a-rule',
      severity: 'error',
      comment: 'Nobody has said yet who may import this file: add its folder to .dependency-cruiser.cjs.',
      from: { path: '^src/', pathNot: [`^src/(${FOLDERS.join('|')})/`, `^src/(${FILES.join('|')})\\.ts$`] },
      to: {},
    },
    {
      name: 'nothing-of-the-tests-in-src',
      severity: 'error',
      comment: 'What production needs lives in src/.',
      from: { path: '^(src/|ormconfig)' },
      to: { path: '^(test|bench|scripts)/' },
    },
    {
      name: 'only-declared-packages',
      severity: 'error',
      comment: '`npm ci --omit=dev` would not install it: add the package to the dependencies in package.json, at an exact version.',
      from: { path: '^(src/|ormconfig)' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'only-files-that-exist',
      severity: 'error',
      comment: 'This import leads nowhere, so no rule can judge it.',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    // dependency-cruiser 17 cannot use TypeScript 6, and 18 wants Node 22. swc's parser sees type imports as well, except for
    // import('...') in a type, which the linter refuses.
    parser: 'swc',
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['require', 'node', 'default', 'types'] },
  },
};
