// Known attacks on GraphQL servers.

const times = (count: number, make: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => make(index)).join(' ');
const nested = (count: number, open: string, inner: string, close: string): string => `${open.repeat(count)}${inner}${close.repeat(count)}`;
const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => `prj_${index}`);

const CIRCLE = times(199, (index) => `fragment F${index} on Viewer { ...F${(index + 1) % 199} }`);
const CHAIN = `${times(199, (index) => `fragment F${index} on Viewer { ...F${index + 1} }`)} fragment F199 on Viewer { id }`;

/** One attack on a GraphQL server. */
export interface Attack {
  what: string;
  /** The document to send. `body` or `raw` replace the whole body. */
  query?: string;
  variables?: unknown;
  body?: unknown;
  /** A body that JSON.stringify cannot produce. */
  raw?: string;
  /** The allowed error codes; `ok` if the request is harmless. */
  codes: string[];
}

const COMPLEX = ['QUERY_TOO_COMPLEX'];
const INVALID = ['GRAPHQL_VALIDATION_FAILED'];
const UNREADABLE = ['GRAPHQL_PARSE_FAILED'];
const REQUEST = ['INVALID_REQUEST'];

const laugh = (index: number): string =>
  `fragment L${index} on Viewer { ${times(3, (twin) => `m${twin}: memberships { workspace { id } ...M${index} }`)} }
  fragment M${index} on Membership { user { ...L${index + 1} } }`;
const LAUGHS = `query { viewer { ...L0 } } ${times(40, laugh)} fragment L40 on Viewer { id }`;
const guess = (index: number): string =>
  `a${index}: signIn(input: { email: "a@example.com", password: "guess-number-${index}" }) { viewer { id } }`;
const OBJECT_NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];

export const ATTACKS: Attack[] = [
  { what: 'alias overload', query: `{ ${times(1_500, (index) => `a${index}: viewer { id }`)} }`, codes: COMPLEX },
  { what: 'alias overload of a scalar', query: `{ viewer { ${times(1_900, (index) => `a${index}: id`)} } }`, codes: COMPLEX },
  {
    what: 'alias overload of a mutation that guesses',
    query: `mutation { ${times(500, guess)} }`,
    codes: COMPLEX,
  },
  { what: 'directive overload', query: `{ viewer ${'@skip(if: false) '.repeat(1_500)} { id } }`, codes: COMPLEX },
  { what: 'unknown directives', query: `{ viewer ${'@aa'.repeat(4_900)} { id } }`, codes: COMPLEX },
  { what: 'field duplication', query: `{ ${'viewer { id } '.repeat(2_400)} }`, codes: COMPLEX },
  {
    what: 'nested field duplication',
    query: `{ ${`a: viewer { ${'b: memberships { c: id } '.repeat(30)} } `.repeat(30)} }`,
    codes: COMPLEX,
  },
  {
    what: 'field duplication up to the limit',
    query: `{ ${'__type(name: "Viewer") { kind name description specifiedByURL isOneOf fields { name } } '.repeat(50)} }`,
    codes: ['ok'],
  },
  {
    what: 'field duplication with different arguments',
    query: `{ ${times(49, (index) => `node(id: "${index}") { id }`)} }`,
    codes: INVALID,
  },
  { what: 'breadth', query: `{ viewer { ${times(3_000, (index) => `f${index}`)} } }`, codes: COMPLEX },
  { what: 'deep nesting', query: `{ ${nested(2_400, 'a { ', 'b', '}')} }`, codes: COMPLEX },
  { what: 'deep nesting of lists', query: `{ node(id: ${nested(4_900, '[', '1', ']')}) { id } }`, codes: COMPLEX },
  { what: 'deep nesting of objects', query: `{ workspaces(filter: ${nested(2_400, '{a: ', '1', '}')}) { nodes { id } } }`, codes: COMPLEX },
  { what: 'deep nesting of inline fragments', query: `{ ${nested(2_400, '... { ', '__typename', '}')} }`, codes: COMPLEX },
  { what: 'deep nesting of types', query: `query ($a: ${nested(4_900, '[', 'Int', ']')}) { __typename }`, codes: COMPLEX },
  { what: 'brackets that are never closed', query: '{'.repeat(9_000), codes: COMPLEX },
  {
    what: 'deep nesting of connections',
    query: `{ workspace(id: "x") { ${nested(6, 'projects { nodes { workspace { ', 'id', '} } } ')} } }`,
    codes: COMPLEX,
  },
  {
    what: 'pages of pages',
    query:
      '{ workspaces(first: 100) { nodes { projects(first: 100) { nodes { ' +
      'keys(first: 100) { nodes { requestLogs(first: 100) { nodes { id } } } } } } } } }',
    codes: COMPLEX,
  },
  { what: 'a page of two thousand millions', query: '{ workspaces(first: 2147483647) { nodes { id } } }', codes: REQUEST },
  { what: 'circular fragments', query: '{ viewer { ...A } } fragment A on Viewer { ...B } fragment B on Viewer { ...A }', codes: INVALID },
  {
    what: 'circular fragments through fields',
    query: '{ workspace(id: "x") { ...A } } fragment A on Workspace { projects { nodes { workspace { ...A } } } }',
    codes: COMPLEX,
  },
  {
    what: 'a circle of two hundred fragments, each of which spreads all',
    query: `{ viewer { ...F0 } } ${times(95, (index) => `fragment F${index} on Viewer { ${times(95, (other) => `...F${other}`)} }`)}`,
    codes: [...COMPLEX, ...INVALID],
  },
  { what: 'a circle of 199 fragments', query: `{ viewer { ...F0 ...F100 } } ${CIRCLE}`, codes: INVALID },
  { what: 'a circle of 199 unused fragments', query: `{ __typename } ${CIRCLE}`, codes: INVALID },
  { what: 'a chain of 199 fragments', query: `{ viewer { ...F0 ...F100 } } ${CHAIN}`, codes: ['ok'] },
  {
    what: 'a circle of forty fragments, each of which spreads all',
    query: `{ viewer { ...F0 } } ${times(40, (index) => `fragment F${index} on Viewer { id ${times(40, (other) => `...F${other}`)} }`)}`,
    codes: [...COMPLEX, ...INVALID],
  },
  { what: 'a thousand million laughs', query: LAUGHS, codes: COMPLEX },
  {
    what: 'fragments that spread each other twice',
    query: `{ ...F0 } ${times(100, (index) => `fragment F${index} on Query { ...F${index + 1} ...F${index + 1} }`)}
      fragment F100 on Query { __typename }`,
    codes: ['ok'],
  },
  {
    what: 'unused fragments',
    query: `{ __typename } ${times(199, (index) => `fragment F${index} on Viewer { id ...F${index + 1} }`)} fragment F199 on Viewer { id }`,
    codes: [...COMPLEX, ...INVALID],
  },
  { what: 'many operations', query: times(2_400, (index) => `query Q${index} { __typename }`), codes: COMPLEX },
  {
    what: 'many operations, with one requested',
    body: {
      query: `${times(99, (index) => `query Q${index} { workspaces(first: 100) { nodes { id projects(first: 90) { nodes { id } } } } }`)}
        query Q { __typename }`,
      operationName: 'Q',
    },
    codes: ['ok'],
  },
  { what: 'many variables', query: `query (${times(2_400, (index) => `$v${index}: Int`)}) { __typename }`, codes: COMPLEX },
  {
    what: 'many unknown types',
    query: `{ ...F0 } ${times(199, (index) => `fragment F${index} on Workspaces${index} { id }`)}`,
    codes: INVALID,
  },
  {
    what: 'many unknown fields',
    query: `{ viewer { ${times(199, (index) => `permissionz${index}`)} } ${times(49, (index) => `workspacez${index} { id }`)} }`,
    codes: INVALID,
  },
  { what: 'many arguments', query: `{ node(${times(3_000, (index) => `a${index}: 1`)}) { id } }`, codes: INVALID },
  {
    what: 'a huge list in an argument',
    query: `{ nodes(ids: [${ids(9_000)
      .map((id) => `"${id.slice(0, 4)}"`)
      .join(' ')}]) { id } }`,
    codes: [...COMPLEX, ...REQUEST],
  },
  {
    what: 'a huge list in a variable',
    query: 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }',
    variables: { ids: ids(60_000) },
    codes: COMPLEX,
  },
  {
    what: 'a huge list in a filter',
    query: 'query ($id: ID!, $ids: [ID!]) { project(id: $id) { requestLogs(filter: { keyId: $ids }) { nodes { id } } } }',
    variables: { ids: ids(60_000) },
    codes: COMPLEX,
  },
  {
    what: 'a list of 200,000 wrong values',
    query: 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }',
    variables: { ids: Array.from({ length: 200_000 }, () => ({})) },
    codes: COMPLEX,
  },
  {
    what: 'a long list in a filter',
    query: 'query ($id: ID!, $ids: [ID!]) { project(id: $id) { requestLogs(filter: { keyId: $ids }) { nodes { id } } } }',
    variables: { ids: ids(4_000) },
    codes: REQUEST,
  },
  {
    what: 'a list of 4,000 wrong values',
    query: 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }',
    variables: { ids: Array.from({ length: 4_000 }, () => ({})) },
    codes: REQUEST,
  },
  {
    what: 'variables nested deeply',
    query: 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }',
    raw: `{"query":"query ($ids: [ID!]!) { nodes(ids: $ids) { id } }","variables":{"ids":${nested(100_000, '[', '1', ']')}}}`,
    codes: [...REQUEST, ...COMPLEX],
  },
  {
    what: 'a huge list of numbers with exponents',
    raw: `{"query":"{ __typename }","variables":{"a":[${'1e200,'.repeat(160_000)}1]}}`,
    codes: COMPLEX,
  },
  { what: 'a long name with many colons after it', raw: `{"\\u0061${'a'.repeat(200_000)}"${':'.repeat(50_000)}}`, codes: REQUEST },
  { what: 'a short name that is no text', raw: '{"\\q":1}', codes: REQUEST },
  { what: 'JSON nested deeply', raw: nested(200_000, '[', '', ']'), codes: [...REQUEST, ...COMPLEX] },
  { what: 'variables that are a text', body: { query: '{ __typename }', variables: '{}' }, codes: REQUEST },
  { what: 'variables that are a list', body: { query: '{ __typename }', variables: [] }, codes: REQUEST },
  { what: 'variables that are a number', body: { query: '{ __typename }', variables: 7 }, codes: REQUEST },
  {
    what: 'variables of the wrong kind',
    query: 'query ($first: Int) { workspaces(first: $first) { nodes { id } } }',
    variables: { first: { a: [1] } },
    codes: REQUEST,
  },
  {
    what: 'a variable past 32 bits',
    query: 'query ($first: Int) { workspaces(first: $first) { nodes { id } } }',
    variables: { first: 1e300 },
    codes: REQUEST,
  },
  {
    what: '__proto__ in the body',
    raw: '{"query":"{ __typename }","__proto__":{"principal":{"kind":"OPERATOR"}}}',
    codes: [...REQUEST, 'ok'],
  },
  {
    what: '__proto__ in the variables',
    raw: '{"query":"query ($id: ID!) { node(id: $id) { id } }","variables":{"__proto__":{"id":"x"}}}',
    codes: REQUEST,
  },
  {
    what: 'constructor in the body',
    raw: '{"query":"{ __typename }","constructor":{"prototype":{"principal":{"kind":"OPERATOR"}}}}',
    codes: [...REQUEST, 'ok'],
  },
  {
    what: 'variables that Object has',
    query: 'query ($toString: ID!, $constructor: ID!) { a: node(id: $toString) { id } b: node(id: $constructor) { id } }',
    variables: {},
    codes: REQUEST,
  },
  {
    what: 'fields that Object has',
    query: '{ constructor toString __proto__ hasOwnProperty viewer { constructor toString __proto__ } }',
    codes: INVALID,
  },
  {
    what: 'aliases that Object has',
    query: '{ __proto__: viewer { constructor: id toString: id hasOwnProperty: name } constructor: __typename toString: __typename }',
    codes: ['ok'],
  },
  { what: 'arguments that Object has', query: '{ node(id: "x", __proto__: 1, constructor: 2, toString: 3) { id } }', codes: INVALID },
  {
    what: 'fragments that Object has',
    query:
      '{ viewer { ...constructor ...toString ...__proto__ } } fragment constructor on Viewer { id } ' +
      'fragment toString on Viewer { ...__proto__ } fragment __proto__ on Viewer { id }',
    codes: ['ok'],
  },
  { what: 'a spread of an unknown fragment with a name of Object', query: '{ viewer { ...constructor } }', codes: INVALID },
  { what: 'an operation that Object has', body: { query: 'query A { __typename }', operationName: 'constructor' }, codes: REQUEST },
  { what: 'a type that Object has', query: '{ __type(name: "constructor") { name } ... on constructor { id } }', codes: INVALID },
  {
    what: 'ids that Object has',
    query: `{ ${OBJECT_NAMES.map((id, index) => `n${index}: node(id: "${id}_1") { id }`).join(' ')} }`,
    codes: ['ok'],
  },
  {
    what: 'a filter with keys that Object has',
    query: 'query ($f: WorkspaceFilter) { workspaces(filter: $f) { nodes { id } } }',
    variables: { f: { constructor: 1, toString: 2 } },
    codes: [...REQUEST, ...INVALID],
  },
  { what: 'a batch bomb', body: Array.from({ length: 10_000 }, () => ({ query: '{ viewer { id } }' })), codes: COMPLEX },
  {
    what: 'a batch of expensive operations',
    body: Array.from({ length: 10 }, () => ({ query: '{ workspaces(first: 100) { nodes { projects(first: 90) { nodes { id } } } } }' })),
    codes: ['ok', ...COMPLEX],
  },
  { what: 'a batch of nothing', body: [], codes: REQUEST },
  { what: 'a batch of no operations', body: [null, 1, 'x', []], codes: REQUEST },
  { what: 'a huge text', query: `{ node(id: "${'x'.repeat(900_000)}") { id } }`, codes: COMPLEX },
  {
    what: 'a huge text in a variable',
    query: 'query ($id: ID!) { node(id: $id) { id } }',
    variables: { id: `prj_${'x'.repeat(900_000)}` },
    codes: ['ok'],
  },
  { what: 'a huge comment', query: `{ __typename } #${'x'.repeat(900_000)}`, codes: COMPLEX },
  { what: 'a huge name', query: `{ ${'x'.repeat(60_000)} }`, codes: INVALID },
  { what: 'many huge names', query: `{ viewer { ${times(60, (index) => `${'x'.repeat(1_000)}${index}`)} } }`, codes: INVALID },
  { what: 'a huge number', query: `{ workspaces(first: ${'9'.repeat(60_000)}) { nodes { id } } }`, codes: INVALID },
  { what: 'a block string of empty lines', query: `{ node(id: """${'\n '.repeat(30_000)}""") { id } }`, codes: ['ok'] },
  { what: 'only blanks', query: ' \n,'.repeat(20_000), codes: UNREADABLE },
  { what: 'control characters', query: '{ viewer { id\u0000\u0007\u001b } }', codes: UNREADABLE },
  { what: 'characters that look like others', query: '{ viewer { іd } }', codes: UNREADABLE },
  { what: 'characters that change the text direction', query: '{ viewer { id } } # \u202e } di { \u2066', codes: ['ok'] },
  {
    what: 'halves of surrogate pairs',
    raw: '{"query":"{ node(id: \\"\\ud800\\") { id } a: node(id: \\"\\\\uDC00\\") { id } }"}',
    codes: [...UNREADABLE, 'ok'],
  },
  { what: 'NUL in an id', query: 'query ($id: ID!) { node(id: $id) { id } }', variables: { id: 'prj_\u0000x' }, codes: ['ok'] },
  {
    what: 'introspection in circles',
    query: '{ __schema { types { fields { type { fields { type { fields { type { fields { type { name } } } } } } } } } } }',
    codes: INVALID,
  },
  {
    what: 'introspection in circles within fragments',
    query:
      '{ __schema { types { ...T } } } fragment T on __Type { fields { type { ...U } } } ' +
      'fragment U on __Type { fields { type { ...V } } } fragment V on __Type { fields { type { name } } }',
    codes: INVALID,
  },
  {
    what: 'introspection repeated under aliases',
    query: `{ ${times(
      49,
      (index) => `s${index}: __schema { types { name fields { name args { name type { name ofType { name ofType { name } } } } } } }`,
    )} }`,
    codes: COMPLEX,
  },
  {
    what: 'introspection of long texts under many aliases',
    query: `{ __schema { types { fields { ${times(95, (index) => `d${index}: description`)} } } } }`,
    codes: COMPLEX,
  },
  {
    what: 'introspection of short texts under many aliases',
    query: `{ __schema { types { fields { ${times(40, (index) => `n${index}: name`)} } } } }`,
    codes: ['ok'],
  },
  {
    what: 'introspection repeated inside one field',
    query: `{ __schema { ${times(60, (index) => `t${index}: types { fields { args { type { name } } } }`)} } }`,
    codes: COMPLEX,
  },
  {
    what: 'skip and include together',
    query: `{ ${times(
      24,
      (index) =>
        `a${index}: workspaces(first: 100) @skip(if: false) @include(if: true) { nodes { projects(first: 100) { nodes { id } } } }`,
    )} }`,
    codes: COMPLEX,
  },
  {
    what: 'a cost hidden in the default of a variable',
    query:
      'query ($no: Boolean = true, $many: Int = 100) ' +
      '{ workspaces(first: $many) @include(if: $no) { nodes { projects(first: $many) { nodes { id } } } } }',
    codes: COMPLEX,
  },
  {
    what: 'a missing variable of @skip',
    query: 'query ($no: Boolean!) { workspaces(first: 100) @skip(if: $no) { nodes { id } } }',
    codes: REQUEST,
  },
  {
    what: 'a null variable of @skip',
    query: 'query ($no: Boolean) { workspaces(first: 100) @skip(if: $no) { nodes { id } } }',
    codes: [...INVALID, ...REQUEST],
  },
  { what: 'a subscription', query: 'subscription { __typename }', codes: [...REQUEST, ...INVALID, 'ok'] },
  { what: 'a definition of types', query: 'type Query { a: Int } schema { query: Query }', codes: [...INVALID, ...REQUEST] },
  {
    what: 'SQL in an id',
    query: 'query ($id: ID!) { node(id: $id) { id } }',
    variables: { id: "prj_x' OR 1=1; DROP TABLE projects; --" },
    codes: ['ok'],
  },
  {
    what: 'SQL in a cursor',
    query: 'query ($after: String) { workspaces(after: $after) { nodes { id } } }',
    variables: { after: Buffer.from('["workspaces","1) OR 1=1 --","x"]').toString('base64url') },
    codes: REQUEST,
  },
];
