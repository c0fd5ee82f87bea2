import type { GraphQLSchema } from 'graphql';
import { ERRORS } from '../errors';
import { html, type Html } from '../lib/html';
import { MANUAL } from '../lib/manual';
import { errorsPage, graphqlCodes, limitsPage, type Answers } from './errors.page';
import { layout } from './layout';
import { Names, PAGES, type PageName } from './names';
import { codeLink, prose } from './prose';
import { restPage, type OpenApi } from './rest.page';
import { SchemaPages } from './schema.pages';

export interface DocsDeps {
  schema: GraphQLSchema;
  openApi: object;
  answers: Answers;
}

/**
 * Renders the whole manual from the sources that the servers use: the schema, the OpenAPI document and the table of errors. Returns the
 * pages by file name.
 */
export function renderDocs({ schema, openApi, answers }: DocsDeps): Map<PageName, string> {
  const names = new Names(schema, [...Object.keys(ERRORS), ...graphqlCodes(MANUAL)]);
  const pages = new SchemaPages(schema, names, MANUAL.examples);
  const root = (type: ReturnType<GraphQLSchema['getQueryType']>): Html | undefined => (type ? pages.root(type) : undefined);
  const contents: Record<PageName, Html | undefined> = {
    'index.html': overview(names),
    'queries.html': root(schema.getQueryType()),
    'mutations.html': root(schema.getMutationType()),
    'subscriptions.html': root(schema.getSubscriptionType()),
    'types.html': pages.types('types.html'),
    'inputs.html': pages.types('inputs.html'),
    'enums.html': pages.types('enums.html'),
    'rest.html': restPage(openApi as OpenApi, names),
    'errors.html': errorsPage(MANUAL, names, answers),
    'limits.html': limitsPage(MANUAL, names),
  };
  const present = (Object.keys(PAGES) as PageName[]).filter((name) => contents[name]);
  return new Map(present.map((name) => [name, layout(name, present, contents[name] as Html)]));
}

const INTRODUCTION = `Tollgate mints API keys, decides which calls may run, runs them, and bills each success to a prepaid budget.

**Callers** use one REST route with an API key, sent as \`X-Api-Key\` or as \`Authorization: Bearer\`.

**Administrators** use GraphQL at \`/graphql\`. The operator has the root key, people have the cookie of a session that \`signIn\` began, \
and programs have keys with administrative permissions.

Amounts are whole \`MicroCredits\`: 1 USD is 1,000,000. Times are \`DateTime\`. Lists are Relay connections with \`PageInfo\`.`;

function overview(names: Names): Html {
  return html`${prose(INTRODUCTION, names)}<section>
<h2 id="names">All names</h2>
<ul class="names">
${names.all().map(([name]) => html`<li>${codeLink(name, names)}</li>\n`)}</ul>
</section>
`;
}
