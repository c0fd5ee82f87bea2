// @ts-check
// The import rules: which file may import which. Type imports count. A rule's comment is printed with its violations and says what to do.

const BASE = ['^src/lib/', '^src/errors\\.ts$', '^src/config\\.ts$'];
const STORE = [...BASE, '^src/db/', '^src/audit/'];
const ENTITIES = '\\.(entity|entities)\\.ts$';
/** Entity types, and the enum Environment, which several features use and no entity owns. */
const SCHEMA_TYPES = [`^src/.+${ENTITIES}`, '^src/tenancy/environment\\.ts$'];
const RESOLVERS = '\\.resolver\\.ts$';
const SERVERS = '^src/(graphql|graphql-server|graphiql|rest|pages|docs)/';

/** All files of this repository. A rule forbids these, except its `allowed` list. */
const OURS = '^(src/|test/|bench/|scripts/|[^/]+\\.[cm]?[jt]s$)';

/** The feature folders, and the other features that each may import. Resolvers have a separate rule. */
const FEATURES = {
  tenancy: [],
  access: ['tenancy'],
  keys: ['access', 'tenancy'],
  'service-accounts': ['access', 'tenancy'],
  wallet: ['access', 'tenancy'],
  actions: ['access', 'tenancy'],
  requests: ['access', 'tenancy'],
  routes: ['access', 'tenancy'],
  oauth: ['service-accounts', 'access', 'tenancy'],
  gate: ['oauth', 'keys', 'service-accounts', 'access', 'wallet', 'actions', 'requests', 'routes', 'tenancy'],
};

const FOLDERS = ['lib', 'db', 'audit', 'forwarding', 'graphql', 'graphql-server', 'graphiql', 'rest', 'pages', 'docs', ...Object.keys(FEATURES)];
const FILES = ['main', 'app', 'schema', 'services', 'cli', 'config', 'errors', 'entities', 'demo'];

/**
 * Makes a rule: of this repository's files, `from` may import only `allowed`.
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
      'Let the feature that owns the data do it: a field in its resolver, or a function that app.ts passes in. ' +
      "Pass ids, not another feature's objects.",
  ),
);

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      comment: 'Two files import each other, at least a type: move the parts that both need into a third, lower file.',
      from: {},
      to: { circular: true },
    },
    only(
      'lib-imports',
      { path: '^src/lib/' },
      ['^src/lib/'],
      'lib/ is pure and imports no other folder of src/: pass the value as an argument, or move the code to the feature.',
    ),
    only(
      'errors-imports',
      { path: '^src/errors\\.ts$' },
      [],
      'errors.ts is a table that every file may import, so it imports no file of src/.',
    ),
    only(
      'forwarding-imports',
      { path: '^src/forwarding/' },
      ['^src/forwarding/', '^src/lib/', '^src/errors\\.ts$'],
      'forwarding/ knows HTTP and no tenants: it imports only lib and errors. The route that calls it passes in what was decided.',
    ),
    only(
      'config-imports',
      { path: '^src/config\\.ts$' },
      ['^src/lib/'],
      'config.ts may import only lib/: read the value here, and let app.ts pass it on.',
    ),
    only(
      'db-imports',
      { path: '^src/db/' },
      ['^src/db/', ...BASE],
      'db/ imports only lib, errors and config: app.ts and ormconfig.ts pass in entities and migrations.',
    ),
    {
      name: 'db-is-handed-its-migrations',
      severity: 'error',
      comment: 'Only a file that opens a database imports db/migrations, and passes them to Database.open.',
      from: { path: '^src/', pathNot: ['^src/db/migrations/', '^src/(app|main|cli)\\.ts$'] },
      to: { path: '^src/db/migrations/' },
    },
    only(
      'audit-imports',
      { path: '^src/audit/', pathNot: RESOLVERS },
      ['^src/audit/', '^src/db/', '^src/lib/', '^src/errors\\.ts$'],
      'audit/ imports only lib, errors and db (for its columns): the caller that records an event passes in all its data.',
    ),
    ...features,
    only(
      'resolver-imports',
      { path: '^src/([^/]+)/.*\\.resolver\\.ts$', pathNot: '^src/graphql-server/node\\.resolver\\.ts$' }, // Query.node knows every type
      [...BASE, '^src/$1/', '^src/access/', ...SCHEMA_TYPES, '^src/graphql/(context|loaders)(\\.ts$|/)'],
      'A resolver authorises, calls its service and presents the result. It may import its feature, access/, entity types (*.entity.ts), ' +
        "graphql/context and graphql/loaders. Move work that needs another feature into the resolver's service or into a loader.",
    ),
    {
      name: 'resolvers-belong-to-the-app',
      severity: 'error',
      comment: 'Only schema.ts imports a resolver: move shared code into the service beside it.',
      from: { path: '^(src/|ormconfig)', pathNot: '^src/schema\\.ts$' },
      to: { path: RESOLVERS },
    },
    {
      name: 'gate-has-few-callers',
      severity: 'error',
      comment:
        'Only rest/, app.ts and cli.ts import the gate: ' +
        'take the principal from the context, or let app.ts pass the function in.',
      from: { path: '^(src/|ormconfig)', pathNot: ['^src/(gate|rest)/', '^src/(app|cli)\\.ts$'] },
      to: { path: '^src/gate/', pathNot: ENTITIES },
    },
    only(
      'graphql-imports',
      { path: '^src/graphql/' },
      [...BASE, '^src/graphql/', '^src/db/', '^src/access/', ...SCHEMA_TYPES],
      'graphql/ is below the resolvers: it imports db/, access/, entity types, lib and errors. ' +
        'Code of the server belongs in graphql-server/.',
    ),
    only(
      'graphql-server-imports',
      { path: '^src/graphql-server/', pathNot: RESOLVERS },
      [...BASE, '^src/graphql-server/', '^src/graphql/', '^src/graphiql/', '^src/db/', '^src/access/'],
      'graphql-server/ executes operations: it imports graphql/, graphiql/, db/, access/, lib and errors. app.ts passes in the rest.',
    ),
    only(
      'graphiql-imports',
      { path: '^src/graphiql/' },
      [...BASE, '^src/graphiql/'],
      'graphiql/ only presents a page: it imports lib and errors.',
    ),
    only(
      'pages-imports',
      { path: '^src/pages/' },
      [...BASE, '^src/pages/', '^src/access/', '^src/oauth/'],
      'pages/ is a server: it imports services and principals of access/ and oauth/, lib and errors. app.ts passes in the rest.',
    ),
    only(
      'docs-imports',
      { path: '^src/docs/' },
      [...BASE, '^src/docs/'],
      'docs/ only presents: app.ts passes in the schema, the OpenAPI document and the error formats of the servers.',
    ),
    {
      name: 'servers-are-above',
      severity: 'error',
      comment:
        'A service does not depend on a protocol: throw a TollgateError and return plain objects. ' +
        'graphql-server/, rest/ and pages/ translate.',
      from: { path: '^src/', pathNot: [SERVERS, '^src/(app|schema|main|cli)\\.ts$', RESOLVERS] },
      to: { path: [SERVERS, '(^|/)node_modules/(@apollo|@as-integrations|@fastify|fastify)/'] },
    },
    {
      name: 'app-is-on-top',
      severity: 'error',
      comment:
        'Only main.ts, cli.ts and demo.ts import app.ts, schema.ts and services.ts, and no other file imports any of these: ' +
        'take a dependency as an argument of the constructor.',
      from: { path: '^(src/|ormconfig)', pathNot: '^src/(app|schema|services|main|cli|demo)\\.ts$' },
      to: { path: '^src/(app|schema|services|main|cli|demo)\\.ts$' },
    },
    {
      name: 'starters-are-not-imported',
      severity: 'error',
      comment: 'main.ts and cli.ts start a process when they are loaded: move shared code into app.ts or below.',
      from: {},
      to: { path: '^src/(main|cli)\\.ts$' },
    },
    only(
      'entities-imports',
      { path: '^src/entities\\.ts$' },
      [`^src/.+${ENTITIES}`],
      'entities.ts is the list of entities: of this repository it imports only *.entity.ts and *.entities.ts.',
    ),
    {
      name: 'entities-list-is-handed-in',
      severity: 'error',
      comment: 'Only a file that opens a database imports the list of entities: a feature imports the entities that it uses.',
      from: { path: '^src/', pathNot: '^src/(app|main|cli)\\.ts$' },
      to: { path: '^src/entities\\.ts$' },
    },
    only(
      'ormconfig-imports',
      { path: '^ormconfig\\.ts$' },
      ['^src/config\\.ts$', '^src/db/', '^src/entities\\.ts$'],
      "ormconfig.ts is only for TypeORM's command line: it imports config, db and the list of entities.",
    ),
    {
      name: 'every-folder-has-a-rule',
      severity: 'error',
      comment: 'No rule says yet which files may import this file: add its folder to .dependency-cruiser.cjs.',
      from: { path: '^src/', pathNot: [`^src/(${FOLDERS.join('|')})/`, `^src/(${FILES.join('|')})\\.ts$`] },
      to: {},
    },
    {
      name: 'nothing-of-the-tests-in-src',
      severity: 'error',
      comment: 'Production code must not import tests, bench or scripts: move the code into src/.',
      from: { path: '^(src/|ormconfig)' },
      to: { path: '^(test|bench|scripts)/' },
    },
    {
      name: 'only-declared-packages',
      severity: 'error',
      comment: '`npm ci --omit=dev` would not install this package: add it to the dependencies in package.json, with an exact version.',
      from: { path: '^(src/|ormconfig)' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'only-files-that-exist',
      severity: 'error',
      comment: 'This import cannot be resolved, so no rule can check it: correct its path.',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    // dependency-cruiser 17 cannot use TypeScript 6, and 18 needs Node 22. swc's parser also sees type imports, except import('...') in a
    // type, which the linter refuses.
    parser: 'swc',
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['require', 'node', 'default', 'types'] },
  },
};
