import { changelogProblems, releasedChangelog } from '../scripts/checks/changelog';
import { deprecationProblems, forbiddenChanges, monthsAfter, newsOf } from '../scripts/checks/evolution';
import { openapiChanges } from '../scripts/checks/evolution-openapi';

// Tests which changes `npm run check -- evolution` accepts and which it refuses.

const TODAY = '2027-06-02';
const GOING = '@deprecated(reason: "Use b. Removed after 2027-06-01.")';

describe('a change of the schema', () => {
  const released = (mark = '') => `
    enum Kind { A B ${mark} }
    input Filter { kind: Kind = A, old: Int ${mark} }
    type Thing { id: ID! old: Left ${mark} }
    type Left { gone: Gone }
    type Gone { left: Left }
    type Query { things(first: Int = 25, by: Filter, old: Int ${mark}): [Thing!]! old: String ${mark} }`;

  it('may add types, fields, optional arguments and enum values', () => {
    const present = released()
      .replace('A B', 'A B C')
      .replace('first: Int = 25', 'first: Int = 25, last: Int')
      .replace('type Query {', 'type New { a: Int } type Query { new: New');
    expect(forbiddenChanges(released(), present, TODAY)).toEqual([]);
    expect(newsOf(released(), present)).toEqual({ added: ['new'], deprecated: [], removed: [] });
  });

  it.each([
    ['removes a field', ' old: Left', '', 'FIELD_REMOVED: Thing.old'],
    ['removes an argument', ', old: Int ):', '):', 'ARG_REMOVED: Query.things arg old'],
    ['removes a value', 'A B', 'A', 'VALUE_REMOVED_FROM_ENUM: B'],
    ['removes a field of an input', ', old: Int  }', '}', 'FIELD_REMOVED: Filter.old'],
    ['makes an answer nullable', '[Thing!]!', '[Thing!]', 'FIELD_CHANGED_KIND: Query.things'],
    ['makes an argument required', 'by: Filter', 'by: Filter!', 'ARG_CHANGED_KIND: Query.things arg by'],
    ['changes the default of an argument', '= 25', '= 50', 'ARG_DEFAULT_VALUE_CHANGE: Query.things arg first'],
    ['changes the default of an input', '= A', '= B', 'INPUT_DEFAULT_VALUE_CHANGE: Filter.kind'],
  ])('is refused if it %s', (_case, from, to, problem) => {
    const present = released().replace(from, to);
    expect(present).not.toBe(released());
    expect(forbiddenChanges(released(), present, TODAY)).toEqual([expect.stringContaining(problem)]);
  });

  const without = `
    enum Kind { A B }
    input Filter { kind: Kind = A }
    type Thing { id: ID! }
    type Query { things(first: Int = 25, by: Filter): [Thing!]! }`;

  it('may remove parts that were deprecated in a release after their day, and types that only they used', () => {
    const deprecated = released(GOING).replace(`A B ${GOING}`, 'A B');
    expect(forbiddenChanges(deprecated, without, TODAY)).toEqual([]);
    expect(newsOf(deprecated, without).removed).toEqual(['Filter.old', 'Thing.old', 'Query.things(old)', 'Query.old']);
  });

  it('is refused if it removes a part on the day itself, without a deprecation, or after a deprecation without a day', () => {
    const deprecated = released(GOING).replace(`A B ${GOING}`, 'A B');
    const problems = forbiddenChanges(deprecated, without, '2027-06-01');
    for (const place of ['Filter.old', 'Thing.old', 'Query.old', 'Query.things arg old', 'Left', 'Gone'])
      expect(problems).toEqual(expect.arrayContaining([expect.stringContaining(place)]));
    expect(forbiddenChanges(released(), without, TODAY)).toHaveLength(problems.length);
    expect(
      forbiddenChanges(released('@deprecated(reason: "Use b.")').replace(/A B @deprecated\(.*?\)/, 'A B'), without, TODAY),
    ).toHaveLength(problems.length);
  });

  it('is part of the news if it deprecates', () => {
    expect(newsOf(released(), released(GOING).replace(`A B ${GOING}`, 'A B')).deprecated).toEqual([
      'Filter.old',
      'Thing.old',
      'Query.things(old)',
      'Query.old',
    ]);
  });
});

describe('a deprecation', () => {
  const schema = (reason?: string) => `type Query { a: Int ${reason === undefined ? '' : `@deprecated(reason: "${reason}")`} }`;

  it('must be at least six months ahead when it is new', () => {
    expect(deprecationProblems(schema(), schema('Use b. Removed after 2027-05-24.'), '2026-11-24')).toEqual([]);
    expect(deprecationProblems(schema(), schema('Use b. Removed after 2027-05-23.'), '2026-11-24')).toEqual([
      expect.stringContaining('until 2027-05-24 at least'),
    ]);
  });

  it('must name its day in the required form', () => {
    for (const reason of ['Use b.', 'Removed after 2027-05-24', 'Use b. Removed after May.'])
      expect(deprecationProblems(schema(), schema(reason), '2026-11-24')).toEqual([expect.stringContaining('without a day')]);
  });

  it('may be postponed or withdrawn, but not brought forward', () => {
    const promised = schema('Use b. Removed after 2027-05-24.');
    expect(deprecationProblems(promised, schema('Use b. Removed after 2028-01-01.'), '2027-01-01')).toEqual([]);
    expect(deprecationProblems(promised, schema(), '2027-01-01')).toEqual([]);
    expect(deprecationProblems(promised, schema('Use b. Removed after 2027-05-23.'), '2026-11-01')).toEqual([
      expect.stringContaining('only until 2027-05-23'),
    ]);
  });

  it('counts months by the calendar', () => {
    expect([monthsAfter('2026-11-24', 6), monthsAfter('2026-08-31', 6), monthsAfter('2026-12-31', 6)]).toEqual([
      '2027-05-24',
      '2027-02-28',
      '2027-06-30',
    ]);
  });
});

interface Operation {
  description: string;
  deprecated?: boolean;
  parameters: { name: string; in: string; required?: boolean; description?: string; schema: { type?: string; enum?: string[] } }[];
  requestBody: { content: Record<'application/json', { schema: { type: string; properties: object; required: string[] } }> };
  responses: Record<string, object>;
}

describe('a change of the OpenAPI document', () => {
  const failure = { description: 'No.', content: { 'application/json': { schema: { $ref: '#/components/schemas/Failure' } } } };
  const document = () => ({
    paths: {
      '/v1/run': {
        post: {
          description: 'Run. Removed after 2027-06-01.',
          parameters: [{ name: 'mode', in: 'query', description: 'How.', schema: { type: 'string', enum: ['a', 'b'] } }],
          requestBody: {
            content: {
              'application/json': { schema: { type: 'object', properties: { params: { type: 'object' } }, required: ['params'] } },
            },
          },
          responses: { '200': { description: 'Yes.' }, '400': failure },
        } as Operation,
      },
    } as Record<string, { post?: Operation; get?: object }>,
    components: {
      schemas: {
        Failure: {
          type: 'object',
          properties: { ok: { type: 'boolean' }, code: { type: 'string' } } as Record<string, { type: string }>,
          required: ['ok', 'code'],
        },
      },
    },
  });
  type Document = ReturnType<typeof document>;
  const changed = (change: (document: Document, operation: Operation) => void): Document => {
    const copy = structuredClone(document());
    change(copy, copy.paths['/v1/run']?.post as Operation);
    return copy;
  };

  it('may add operations, answers, optional parameters and properties', () => {
    const present = changed((all, operation) => {
      all.paths['/v1/new'] = { get: { responses: {} } };
      operation.responses['429'] = failure;
      operation.parameters.push({ name: 'more', in: 'query', schema: { type: 'string' } });
      all.components.schemas.Failure.properties.more = { type: 'string' };
    });
    expect(openapiChanges(document(), present, TODAY)).toEqual([]);
  });

  describe('that gives an answer several forms', () => {
    const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
    const withForms = (forms: object[], change: (document: Document) => void = () => undefined) =>
      changed((all, operation) => {
        operation.responses['400'] = { description: 'No.', content: { 'application/json': { schema: { oneOf: forms } } } };
        change(all);
      });
    const own = { type: 'object', properties: { ok: { type: 'boolean' }, code: { type: 'string', const: 'A' } }, required: ['ok', 'code'] };

    it('is allowed if the earlier form is one of them, wherever it is', () => {
      const one = withForms([ref('Failure')]);
      const two = withForms([{ type: 'string' }, ref('Failure')]);
      expect([openapiChanges(document(), two, TODAY), openapiChanges(one, two, TODAY)]).toEqual([[], []]);
      const broken = withForms([ref('Failure')], (all) => delete all.components.schemas.Failure.properties.code);
      expect(openapiChanges(document(), broken, TODAY)).toEqual(['POST /v1/run: 400: body.code is gone.']);
    });

    it('is allowed if each form keeps the promises of the earlier one', () => {
      expect(openapiChanges(document(), withForms([own, own]), TODAY)).toEqual([]);
      const { code: _, ...fewer } = own.properties;
      const broken = withForms([own, { ...own, properties: fewer }]);
      expect(openapiChanges(document(), broken, TODAY)).toEqual(['POST /v1/run: 400: body.code is gone.']);
    });
  });

  it.each<[string, (document: Document, operation: Operation) => void, string]>([
    ['an operation is removed', (all) => delete all.paths['/v1/run'], 'POST /v1/run is gone.'],
    ['an answer is removed', (_all, operation) => delete operation.responses['400'], 'POST /v1/run: answers 400 no longer.'],
    ['a parameter is removed', (_all, operation) => (operation.parameters = []), 'POST /v1/run: takes mode no longer.'],
    [
      'a parameter is required',
      (_all, operation) => operation.parameters.push({ name: 'more', in: 'query', required: true, schema: {} }),
      'POST /v1/run: wants more.',
    ],
    [
      'a value is no longer accepted',
      (_all, operation) => operation.parameters[0]?.schema.enum?.pop(),
      'POST /v1/run: mode takes "b" no longer.',
    ],
    [
      'a property becomes required',
      (_all, operation) => operation.requestBody.content['application/json'].schema.required.push('id'),
      'POST /v1/run: body.id is required now.',
    ],
    [
      'a property of an answer is removed',
      (all) => delete all.components.schemas.Failure.properties.code,
      'POST /v1/run: 400: body.code is gone.',
    ],
    [
      'a property of an answer may be absent',
      (all) => all.components.schemas.Failure.required.pop(),
      'POST /v1/run: 400: body.code may be absent now.',
    ],
    [
      'a property has another type',
      (all) => (all.components.schemas.Failure.properties.code = { type: 'number' }),
      'POST /v1/run: 400: body.code is "number" and was "string".',
    ],
  ])('is refused if %s', (_case, change, problem) => {
    expect(openapiChanges(document(), changed(change), TODAY)).toEqual([problem]);
  });

  it('may remove a deprecated operation after its day', () => {
    const deprecated = changed((_all, operation) => (operation.deprecated = true));
    expect(openapiChanges(deprecated, { paths: {} }, TODAY)).toEqual([]);
    expect(openapiChanges(deprecated, { paths: {} }, '2027-06-01')).toEqual(['POST /v1/run is gone.']);
  });
});

describe('CHANGELOG.md', () => {
  const nothing = { added: [], addedPaths: [], deprecated: [], removed: [] };
  const changelog =
    '# Changelog\n\n## [Unreleased]\n\n### Added\n\n- `nodes`\n\n' +
    '## [0.2.0] - 2027-01-02\n\n### Fixed\n\n- a bug\n\n## [0.1.0] - 2026-12-01\n';

  it('passes if it has the required form and names all new parts', () => {
    expect(changelogProblems(changelog, { ...nothing, added: ['nodes'] })).toEqual([]);
  });

  it.each([
    ['a new field is not named', changelog, { ...nothing, added: ['keyChanged'] }, '`keyChanged` under "### Added"'],
    ['a new route is not named', changelog, { ...nothing, addedPaths: ['/v1/export/ledger'] }, '`/v1/export/ledger`'],
    ['a deprecation is not named', changelog, { ...nothing, deprecated: ['ApiKey.hint'] }, '`ApiKey.hint` under "### Deprecated"'],
    ['it is named in another release', changelog, { ...nothing, removed: ['nodes'] }, '`nodes` under "### Removed"'],
    ['nothing is unreleased', changelog.replace('[Unreleased]', '[1.0.0] - 2027-03-01'), nothing, 'no "## [Unreleased]"'],
    ['a release has no day', changelog.replace(' - 2027-01-02', ''), nothing, 'does not look like "## [1.2.3]'],
    ['releases stand in another order', changelog.replace('2026-12-01', '2027-02-01'), nothing, 'from the newest'],
    ['a section is unknown', changelog.replace('### Fixed', '### Mended'), nothing, '"### Mended"'],
    ['a section is empty', changelog.replace('- a bug', ''), nothing, 'is empty'],
  ])('is refused if %s', (_case, text, news, problem) => {
    expect(changelogProblems(text, news)).toEqual([expect.stringContaining(problem)]);
  });

  it('turns the unreleased part into a version once', () => {
    const released = releasedChangelog(changelog, '0.3.0', '2027-03-01');
    expect(released).toContain('## [Unreleased]\n\n## [0.3.0] - 2027-03-01\n\n### Added\n\n- `nodes`');
    expect(changelogProblems(released, nothing)).toEqual([]);
    expect(() => releasedChangelog(changelog, '0.2.0', '2027-03-01')).toThrow('already');
    expect(() => releasedChangelog(released, '0.4.0', '2027-03-01')).toThrow('nothing');
  });
});
