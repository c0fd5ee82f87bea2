import {
  buildClientSchema,
  getIntrospectionQuery,
  getNamedType,
  getNullableType,
  isCompositeType,
  isListType,
  isObjectType,
  type GraphQLInputObjectType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
} from 'graphql';
import { createTestApp, type TestApp } from './support/app';
import { ghostOf } from './support/factories';
import { operationsOf, requestOf, type Operation } from './support/operations';
import { buildRoute } from './support/routes';
import { serverRoutes } from './support/server-routes';
import { statementsOf } from './support/statements';
import { answerTo, askerStatuses, expected, exportStatus, firstWordTo, outcomeOf, streamOutcomeOf } from './support/tenancy-outcomes';
import { buildPrincipals, openSession, type Principal, type Tenant } from './support/tenancy-principals';
import { BEHIND_A_GUARD, ENTRANCES, FIELDS, ROOT_FIELDS, ROUTES, type IdKind, type Needs, type Row } from './support/tenancy-table';

// Runs every operation and route as every kind of principal, and compares the outcome with a table.

let app: TestApp;
let schema: GraphQLSchema;
let principals: Map<string, Principal>;

beforeAll(async () => {
  app = await createTestApp();
  schema = buildClientSchema((await app.graphql(getIntrospectionQuery(), {}, null)).data);
  principals = await buildPrincipals(app);
}, 120_000);

afterAll(() => app.close());

/** The kind of id that each argument takes. */
const KIND_OF_ARGUMENT: Record<string, IdKind> = {
  workspaceId: 'ws',
  projectId: 'prj',
  requestLogId: 'log',
  roleId: 'rol',
  actionId: 'act',
  userId: 'usr',
  keyId: 'key',
  projectIds: 'prj',
  ids: 'prj',
  actorId: 'usr',
  subjectId: 'key',
};

function operationsFor({ ids, slugs }: Tenant): Operation[] {
  const operations = operationsOf(schema, (argument, field) => {
    const kind = argument === 'id' ? ROOT_FIELDS[field]?.id : KIND_OF_ARGUMENT[argument];
    if (!kind) throw new Error(`The table has no kind of id for the argument ${argument} of ${field}. Add it to KIND_OF_ARGUMENT.`);
    return ids[kind];
  });
  return operations.map((operation) => {
    const slug = operation.type === 'query' ? slugs[operation.field] : undefined;
    const args = operation.args.map((arg) => (arg.name === 'slug' ? { ...arg, value: slug } : arg));
    return slug === undefined ? operation : { ...operation, args, selection: '{ __typename }' };
  });
}

/** Returns the operations of all subscriptions, with ids from `idOf`. */
function subscriptionsFor(idOf: (kind: IdKind) => string): Operation[] {
  return operationsOf(schema, (argument) => idOf(KIND_OF_ARGUMENT[argument] as IdKind), undefined, ['subscription']);
}

const rootName = ({ name }: Operation): string => name.replace(/\(.*$/, '');
/** Returns the table's row of an operation. A row for its kind of id comes before the row of its field. */
const rowOf = ({ name }: Operation): Row => (ROOT_FIELDS[name] ?? ROOT_FIELDS[name.replace(/\(.*$/, '')]) as Row;

describe('the table', () => {
  it('has exactly the queries, mutations and subscriptions of the schema', () => {
    const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
    const names = roots.flatMap((type) => Object.keys(type?.getFields() ?? {}).map((field) => `${type?.name}.${field}`));
    expect(
      Object.keys(ROOT_FIELDS)
        .filter((name) => !name.includes('('))
        .sort(),
    ).toEqual(names.sort());
  });

  it('has every field that takes an argument or leads to another object', () => {
    const plumbing = /^(Query|Mutation|Subscription|__.*|.*(Connection|Edge|Payload))$/;
    const types = Object.values(schema.getTypeMap())
      .filter(isObjectType)
      .filter(({ name }) => !plumbing.test(name));
    const fields = types.flatMap((type) =>
      Object.values(type.getFields()).flatMap((field) =>
        field.args.length > 0 || isCompositeType(getNamedType(field.type)) ? [`${type.name}.${field.name}`] : [],
      ),
    );
    expect([...Object.keys(FIELDS), ...Object.keys(BEHIND_A_GUARD)].sort()).toEqual(fields.sort());
  });

  it('has every route', () => {
    expect(serverRoutes(app.server).sort()).toEqual(Object.keys(ROUTES).sort());
  });
});

describe('every field of an object', () => {
  it('has the outcome of the table for every kind of principal', async () => {
    for (const [who, principal] of principals) {
      for (const [name, needs] of Object.entries(FIELDS)) {
        const [type = '', field = ''] = name.split('.');
        const entrance = ENTRANCES[type];
        if (!entrance) throw new Error(`The table does not say how to reach a ${type}. Add it to ENTRANCES.`);
        const leads = isCompositeType(
          getNamedType((schema.getType(type) as GraphQLObjectType).getFields()[field]?.type as GraphQLOutputType),
        );
        const root = entrance.field.split('.')[1] as string;
        const ask = {
          query: `query ($id: ID!) { ${root}(id: $id) { ${field}${leads ? ' { __typename }' : ''} } }`,
          variables: { id: principal.tenant.ids[entrance.id] },
        };
        const outcome = await outcomeOf(app, principals, principal, ask, root);
        expect([who, name, outcome]).toEqual([who, name, expected(principal, [ROOT_FIELDS[entrance.field]?.needs as Needs, needs])]);
      }
    }
  }, 120_000);
});

describe('an object of another tenant', () => {
  const as = (name: string): Principal => principals.get(name) as Principal;

  /** Returns each operation once per id argument, with that id replaced by `foreign` and the other ids of the caller's tenant. */
  function withOneForeign(own: Tenant, foreign: (kind: IdKind) => string): Operation[] {
    const seen = new Set<string>();
    operationsOf(schema, (argument, field) => {
      seen.add(`${field} ${argument}`);
      return 'x';
    });
    return [...seen].flatMap((place) => {
      const [field, replaced] = place.split(' ');
      const operations = operationsOf(schema, (argument, of) => {
        const kind = (argument === 'id' ? ROOT_FIELDS[of]?.id : KIND_OF_ARGUMENT[argument]) as IdKind;
        return of === field && argument === replaced ? foreign(kind) : own.ids[kind];
      });
      return operations.filter((operation) => rootName(operation) === field && JSON.stringify(operation.args).includes(replaced as string));
    });
  }

  it('gives the same bytes as an unknown id, in each id argument of each operation', async () => {
    const owner = as('a key as OWNER');
    const { tenant: others } = as('a key as ADMIN');
    const foreign = withOneForeign(owner.tenant, (kind) => others.ids[kind]).filter((operation) => !rootName(operation).endsWith('Action'));
    const ghosts = withOneForeign(owner.tenant, (kind) => ghostOf(others.ids[kind])).filter(
      (operation) => !rootName(operation).endsWith('Action'),
    );
    expect(foreign.length).toBeGreaterThan(25);
    for (const [index, operation] of foreign.entries()) {
      const answer = await answerTo(app, owner, requestOf([operation]));
      const ghost = await answerTo(app, owner, requestOf([ghosts[index] as Operation]));
      expect([operation.name, answer.status, answer.text]).toEqual([operation.name, ghost.status, ghost.text]);
      expect(answer.text).toMatch(/NOT_FOUND|FORBIDDEN|:null\}|:\[null\]\}/);
    }
  });

  it('gives the same bytes as an unknown id, in each subscription', async () => {
    const owner = as('a key as OWNER');
    const { tenant: others } = as('a key as ADMIN');
    const foreign = subscriptionsFor((kind) => others.ids[kind]).filter(({ takesId }) => takesId);
    const ghosts = subscriptionsFor((kind) => ghostOf(others.ids[kind])).filter(({ takesId }) => takesId);
    expect(foreign.length).toBe(4);
    for (const [index, operation] of foreign.entries()) {
      const answer = await firstWordTo(app, owner, requestOf([operation]));
      expect([operation.name, answer]).toEqual([operation.name, await firstWordTo(app, owner, requestOf([ghosts[index] as Operation]))]);
      expect(answer.text).toContain('NOT_FOUND');
    }
  });

  it('is in no list, with any filter by id', async () => {
    const owner = as('a key as OWNER');
    const { tenant: others } = as('a key as ADMIN');
    let tried = 0;
    for (const [type, { field: entrance, id }] of Object.entries(ENTRANCES)) {
      for (const field of Object.values((schema.getType(type) as GraphQLObjectType).getFields())) {
        const filter = field.args.find(({ name }) => name === 'filter');
        if (!filter) continue;
        for (const { name, type: inputType } of Object.values((getNamedType(filter.type) as GraphQLInputObjectType).getFields())) {
          if (getNamedType(inputType).name !== 'ID') continue;
          const root = entrance.split('.')[1] as string;
          const list = `${field.name}(filter: $filter) { nodes { __typename } pageInfo { hasNextPage } }`;
          const query = `query ($id: ID!, $filter: ${filter.type.toString()}) { ${root}(id: $id) { ${list} } }`;
          const kinds = ['prj', 'key', 'svc', 'ws', 'log', 'usr'] as const;
          const values = kinds.map((kind) => others.ids[kind]);
          const value = isListType(getNullableType(inputType)) ? values : values[0];
          const { data, errors } = await answerTo(app, owner, {
            query,
            variables: { id: owner.tenant.ids[id], filter: { [name]: value } },
          });
          expect([type, field.name, name, errors, data?.[root]]).toEqual([
            type,
            field.name,
            name,
            undefined,
            { [field.name]: { nodes: [], pageInfo: { hasNextPage: false } } },
          ]);
          tried += 1;
        }
      }
    }
    expect(tried).toBeGreaterThan(8);
  });

  it('is looked up by the same statements as an unknown id, so that response times do not differ', async () => {
    const owner = as('a key as OWNER');
    const { tenant: others } = as('a key as ADMIN');
    let compared = 0;
    for (const kind of ['ws', 'prj', 'key', 'svc', 'rol'] as const) {
      const [foreign, ghosts] = [others.ids[kind], ghostOf(others.ids[kind])].map((id) =>
        operationsOf(schema, () => id, undefined, ['mutation']),
      ) as [Operation[], Operation[]];
      for (const [index, operation] of foreign.entries()) {
        const sqlOf = async (asked: Operation) =>
          (await statementsOf(app, () => answerTo(app, owner, requestOf([asked])))).map(({ sql }) => sql);
        const statements = await sqlOf(operation);
        expect([operation.name, kind, statements]).toEqual([operation.name, kind, await sqlOf(ghosts[index] as Operation)]);
        compared += statements.length;
      }
    }
    expect(compared).toBeGreaterThan(100);
  });
});

describe('every route', () => {
  const JSON_TYPE = { 'content-type': 'application/json' };
  const ASK: Record<string, { path?: string; headers?: Record<string, string>; body?: string }> = {
    'GET /graphql': { headers: { accept: 'text/html' } },
    'POST /graphql': {
      headers: { 'content-type': 'application/json', 'x-apollo-operation-name': 'a' },
      body: '{"query":"{ __typename }"}',
    },
    'GET /graphql/assets/:name': { path: '/graphql/assets/none.js' },
    'POST /invitation': { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'token=none' },
    'POST /reset-password': { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'token=none' },
    'GET /graphql/stream': { path: '/graphql/stream?query={__typename}', headers: { accept: 'text/event-stream' } },
    'POST /graphql/stream': {
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: '{"query":"{ __typename }"}',
    },
    'POST /v1/keys/verify': { headers: JSON_TYPE, body: '{"key":"none"}' },
    'POST /v1/holds/:id/settle': { path: '/v1/holds/none/settle', headers: JSON_TYPE, body: '{}' },
    'POST /v1/holds/:id/void': { path: '/v1/holds/none/void', headers: JSON_TYPE, body: '{}' },
    'POST /v1/holds/:id/extend': { path: '/v1/holds/none/extend', headers: JSON_TYPE, body: '{"seconds":1}' },
    'GET /v1/forward-auth/nginx': { headers: { 'x-original-method': 'GET', 'x-original-uri': '/asked' } },
    'GET /v1/forward-auth/forwarded': {
      headers: { 'x-forwarded-method': 'GET', 'x-forwarded-host': 'api.example.com', 'x-forwarded-uri': '/asked' },
    },
    'GET /v1/forward-auth/envoy/:path': { path: '/v1/forward-auth/envoy/asked' },
    'POST /v1/:service/execute': {
      path: '/v1/demo/execute',
      headers: { 'content-type': 'application/json' },
      body: '{"action":"demo.echo","params":{}}',
    },
  };

  it('has the outcome of the table for every kind of principal', async () => {
    const action = { permission: 'demo.echo', priceMicroCredits: 0 };
    await buildRoute(app, { action, route: { path: '/asked', upstreamUrl: 'https://api.internal.example' } });
    for (const [who, principal] of principals) {
      for (const [route, needs] of Object.entries(ROUTES)) {
        const [method = '', pattern = ''] = route.split(' ');
        const { path = pattern, headers = {}, body } = ASK[route] ?? {};
        const permission = ['anybody', 'a credential', 'a key that may call', 'an asker'].includes(needs) ? undefined : needs;
        const query = permission ? `?workspaceId=${principal.tenant.ids.ws}` : '';
        const response = await fetch(`${app.url}${path}${query}`, {
          method,
          headers: { ...headers, ...principal.headers },
          ...(body !== undefined && { body }),
        });
        const text = await response.text();
        const tells = [...principals.values()].filter(({ tenant }) => text.includes(tenant.ids.ws)).map(({ tenant }) => tenant);
        if (principal.standing !== 'operator')
          expect([who, route, tells.filter((tenant) => tenant !== principal.tenant)]).toEqual([who, route, []]);
        if (needs === 'an asker') {
          const statuses = askerStatuses(principal, route.includes('verify') ? 200 : 404);
          expect([who, route, statuses.includes(response.status), response.status]).toEqual([who, route, true, response.status]);
          continue;
        }
        const mayCall = 'x-api-key' in principal.headers && !['operator', 'unauthenticated'].includes(principal.standing);
        const wrongSecret = 'x-api-key' in principal.headers && principal.standing === 'unauthenticated' && route === 'POST /graphql';
        const isRefused =
          needs === 'anybody'
            ? wrongSecret
            : needs === 'a credential'
              ? principal.standing === 'unauthenticated'
              : needs === 'a key that may call'
                ? !mayCall
                : false;
        const status = permission ? exportStatus(principal, permission) : isRefused ? 401 : expect.not.stringMatching(/^40[13]$/);
        expect([who, route, `${response.status}`]).toEqual([who, route, typeof status === 'number' ? `${status}` : status]);
      }
    }
  });
});

describe('every subscription', () => {
  it('has the outcome of the table for every kind of principal', async () => {
    for (const [who, principal] of principals) {
      for (const operation of subscriptionsFor((kind) => principal.tenant.ids[kind])) {
        const { needs } = rowOf(operation);
        const outcome = await streamOutcomeOf(app, principal, requestOf([operation]));
        expect([who, operation.name, outcome]).toEqual([who, operation.name, expected(principal, [needs], needs === 'operator')]);
      }
    }
  }, 120_000);
});

// These tests come last, because they revoke every key.
describe('every query and mutation', () => {
  it('has the outcome of the table for every kind of principal', async () => {
    const order = Object.keys(ROOT_FIELDS);
    for (const [who, principal] of principals) {
      const operations = operationsFor(principal.tenant).sort((a, b) => order.indexOf(rootName(a)) - order.indexOf(rootName(b)));
      for (const operation of operations) {
        const { needs } = rowOf(operation);
        if (principal.userId && operation.field === 'signOutEverywhere') {
          principal.headers = (await openSession(app, principal.userId)).headers; // an earlier operation has signed it out
        }
        const outcome = await outcomeOf(app, principals, principal, requestOf([operation]), 'o0', needs === 'nothing');
        expect([who, operation.name, outcome]).toEqual([who, operation.name, expected(principal, [needs], needs === 'operator')]);
      }
    }
  }, 120_000);
});
