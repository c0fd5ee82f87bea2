import { html, type Html } from '../lib/html';
import type { Names } from './names';
import { code, line, nothing, table } from './prose';
import { contents } from './schema.pages';

interface Schema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  oneOf?: Schema[];
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  example?: unknown;
  format?: string;
  pattern?: string;
  /** What each line of a text is. */
  contentSchema?: Schema;
}
type Content = Record<string, { schema: Schema; example?: Record<string, string> }>;
interface Operation {
  summary: string;
  description?: string;
  deprecated?: boolean;
  security?: Record<string, unknown>[];
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema: Schema }[];
  requestBody?: { content: Content };
  responses: Record<string, { description: string; headers?: Record<string, { $ref: string }>; content?: Content }>;
}

/** The parts of an OpenAPI document that the page uses. */
export interface OpenApi {
  info: { description?: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema>; headers: Record<string, { description: string }> };
}

/** Renders each route with its parameters, bodies and answers, and a command that calls it. */
export function restPage(document: OpenApi, names: Names): Html {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) => {
    return Object.entries(methods).map(([method, operation]) => ({ title: `${method.toUpperCase()} ${path}`, path, method, operation }));
  });
  const schemas = Object.entries(document.components.schemas);
  const titles = [...operations.map(({ title }) => title), ...schemas.map(([name]) => name), 'Headers of answers'];
  const routes = operations.map(({ title, path, method, operation }) => operationSection(title, path, method, operation, document, names));
  const types = schemas.map(
    ([name, schema]) => html`<section>
<h2 id="${idOf(name)}">${name}</h2>
${schemaTable(schema, names)}</section>
`,
  );
  return html`<p>${document.info.description ?? ''} Programs can read the same in <a href="../openapi.json">openapi.json</a>.</p>
<p>In the commands, <code>$TOLLGATE</code> is the URL of this server, and <code>$API_KEY</code> is a secret.</p>
${contents(titles.map(idOf), titles)}${routes}${types}${headerSection(document, names)}`;
}

function headerSection({ components }: OpenApi, names: Names): Html {
  const rows = Object.entries(components.headers).map(([name, { description }]) => ({
    cells: [html`<code>${name}</code>`, line(description, names)],
  }));
  return html`<section>
<h2 id="${idOf('Headers of answers')}">Headers of answers</h2>
${table(['Header', 'Meaning'], rows)}</section>
`;
}

/** The anchor of a title: without blanks and braces. */
export const idOf = (title: string): string => title.replace(/[^A-Za-z0-9]+/g, '-').replace(/^-|-$/g, '');

function operationSection(title: string, path: string, method: string, operation: Operation, document: OpenApi, names: Names): Html {
  const { summary, description, deprecated, security = [], parameters = [], requestBody, responses } = operation;
  const answers = Object.entries(responses).map(([status, { description: text, headers = {}, content = {} }]) => {
    const bodies = Object.entries(content).map(([type, { schema }]) => html`<code>${type}</code> ${typeOf(schema)}`);
    const sent = Object.keys(headers).map((name) => html`<br><code>${name}</code>`);
    return { cells: [html`${status}`, html`${bodies}`, html`${line(text, names)}${sent}`] };
  });
  return html`<section>
<h2 id="${idOf(title)}">${title}</h2>
<p>${deprecated ? html`<strong class="deprecated">Deprecated.</strong> ` : nothing}${summary}. ${credentialOf(security)}</p>
${description === undefined ? nothing : html`<p>${line(description, names)}</p>\n`}${code(curlOf(path, method, operation, document))}${
    parameters.length > 0 ? html`<h3>Parameters</h3>\n${parameterTable(parameters, names)}` : nothing
  }${requestBody ? html`<h3>Body</h3>\n${bodiesOf(requestBody, document, names)}` : nothing}<h3>Answers</h3>
${table(['Status', 'Body', 'When'], answers)}</section>
`;
}

/** Whether an operation accepts a credential of this security scheme. */
const accepts = (security: Record<string, unknown>[], scheme: string): boolean => security.some((requirement) => scheme in requirement);

function credentialOf(security: NonNullable<Operation['security']>): Html {
  if (accepts(security, 'apiKey')) return html`Requires a secret, as <code>X-Api-Key</code> or <code>Authorization: Bearer</code>.`;
  if (accepts(security, 'client')) return html`Requires the id and the secret of a client, with HTTP Basic or in the form.`;
  return html`Requires no credential.`;
}

function parameterTable(parameters: NonNullable<Operation['parameters']>, names: Names): Html {
  const rows = parameters.map(({ name, in: place, required, schema, description }) => ({
    cells: [
      html`<code>${name}</code>`,
      html`${place}${required ? ', required' : ''}`,
      typeOf(schema),
      html`${line(description ?? '', names)}${valuesOf(schema)}`,
    ],
  }));
  return table(['Name', 'In', 'Type', 'Meaning'], rows);
}

function bodiesOf({ content }: NonNullable<Operation['requestBody']>, document: OpenApi, names: Names): Html {
  const bodies = Object.entries(content).map(([type, { schema }]) => {
    return html`<p><code>${type}</code>: ${typeOf(schema)}</p>\n${schemaTable(resolve(schema, document), names)}`;
  });
  return html`${bodies}`;
}

function schemaTable(schema: Schema, names: Names): Html {
  const { properties = {}, required = [] } = schema;
  const rows = flattened(properties, required).map(({ name, property, always }) => ({
    cells: [
      html`<code>${name}</code>`,
      typeOf(property),
      html`${always ? 'always' : 'optional'}`,
      html`${line(property.description ?? '', names)}${valuesOf(property)}`,
    ],
  }));
  return table(['Property', 'Type', 'Present', 'Meaning'], rows);
}

/** The properties of an object and of the objects inside it, by path. */
function flattened(
  properties: Record<string, Schema>,
  required: string[],
  prefix = '',
): { name: string; property: Schema; always: boolean }[] {
  return Object.entries(properties).flatMap(([name, property]) => {
    const inner = property.items?.properties ? property.items : property;
    const path = `${prefix}${name}`;
    return [
      { name: path, property, always: required.includes(name) },
      ...flattened(inner.properties ?? {}, inner.required ?? [], `${path}${inner === property ? '' : '[]'}.`),
    ];
  });
}

function typeOf(schema: Schema): Html {
  const name = schema.$ref?.split('/').at(-1);
  if (name !== undefined) return html`<a href="#${idOf(name)}">${name}</a>`;
  if (schema.oneOf) return html`${schema.oneOf.map((form, index) => html`${index > 0 ? ' or ' : ''}${typeOf(form)}`)}`;
  if (schema.contentSchema) return html`lines of ${typeOf(schema.contentSchema)}`;
  if (schema.const !== undefined) return html`<code>${JSON.stringify(schema.const)}</code>`;
  const type = Array.isArray(schema.type) ? schema.type.join(' or ') : (schema.type ?? 'any');
  return html`${schema.format ? `${type} (${schema.format})` : type}`;
}

function valuesOf(schema: Schema): Html {
  const values = schema.enum
    ? html` One of ${schema.enum.map((value, index) => html`${index > 0 ? ', ' : ''}<code>${String(value)}</code>`)}.`
    : nothing;
  if (schema.default === undefined) return values;
  return html`${values} Default: <code>${typeof schema.default === 'string' ? schema.default : JSON.stringify(schema.default)}</code>.`;
}

const resolve = (schema: Schema, document: OpenApi): Schema => document.components.schemas[schema.$ref?.split('/').at(-1) ?? ''] ?? schema;

/** A command that calls a route with only the required input. */
function curlOf(path: string, method: string, { parameters = [], security = [], requestBody }: Operation, document: OpenApi): string {
  const filled = path.replace('{service}', 'demo');
  const query = parameters
    .filter((parameter) => parameter.in === 'query' && parameter.required)
    .map(({ name, schema }) => `${name}=${String(sampleOf(schema, document))}`);
  const body = requestBody?.content['application/json']?.schema;
  const form = requestBody?.content['application/x-www-form-urlencoded']?.example ?? {};
  const options = [
    ...(method === 'get' ? [] : [`-X ${method.toUpperCase()}`]),
    ...(accepts(security, 'apiKey') ? ['-H "X-Api-Key: $API_KEY"'] : []),
    ...(accepts(security, 'client') ? ['-u "$CLIENT_ID:$CLIENT_SECRET"'] : []),
    ...(body ? ["-H 'Content-Type: application/json'", `-d '${JSON.stringify(sampleOf(body, document))}'`] : []),
    ...Object.entries(form).map(([name, value]) => `-d ${name}=${value}`),
  ];
  return [`curl -sS "$TOLLGATE${filled}${query.length > 0 ? `?${query.join('&')}` : ''}"`, ...options].join(' \\\n  ');
}

function sampleOf(given: Schema, document: OpenApi): unknown {
  const schema = resolve(given, document);
  if (schema.example !== undefined) return schema.example;
  if (schema.properties)
    return Object.fromEntries((schema.required ?? []).map((name) => [name, sampleOf(schema.properties?.[name] ?? {}, document)]));
  return schema.default ?? schema.enum?.[0] ?? (schema.type === 'boolean' ? true : schema.type === 'object' ? {} : '...');
}
