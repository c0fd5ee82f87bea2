import { ERRORS, type ErrorCode } from '../errors';
import { html, type Html } from '../lib/html';
import type { Manual } from '../lib/manual';
import type { Names } from './names';
import { line, table } from './prose';

/** What both servers make of an error. */
export interface Answers {
  httpStatusOf(code: ErrorCode): number;
  graphqlAnswerOf(code: ErrorCode): { code: string; status: number };
}

/** The codes that GraphQL has and the table of errors has not. */
export const graphqlCodes = ({ graphqlErrors }: Manual): string[] => graphqlErrors.map(({ code }) => code).filter((code) => !(code in ERRORS));

/** The table of errors, with what both servers make of each. */
export function errorsPage(manual: Manual, names: Names, { httpStatusOf, graphqlAnswerOf }: Answers): Html {
  const rest = (Object.entries(ERRORS) as [ErrorCode, (typeof ERRORS)[ErrorCode]][]).map(([code, { kind, message }]) => {
    const row = manual.restErrors.find((error) => error.code === code);
    return {
      id: code,
      cells: [html`<code>${code}</code>`, html`${String(httpStatusOf(code))}`, html`<code>${kind}</code>`, html`<code>${graphqlAnswerOf(code).code}</code>`, html`${message}${row ? html`<br><span class="quiet">${line(row.when, names)}${row.details ? html`. Details: ${line(row.details, names)}` : ''}</span>` : ''}`],
    };
  });
  const statuses = new Map((Object.keys(ERRORS) as ErrorCode[]).map((code) => [graphqlAnswerOf(code).code, graphqlAnswerOf(code).status]));
  const graphql = manual.graphqlErrors.map(({ code, when }) => ({
    ...(code in ERRORS ? {} : { id: code }),
    cells: [html`<code>${code}</code>`, html`${String(statuses.get(code) ?? 400)}`, html`${line(when, names)}`],
  }));
  return html`<section>
<h2 id="codes">Every code</h2>
<p>REST answers <code>{ "error": { "status", "code", "message", "details" } }</code> with the HTTP status; GraphQL has <code>extensions.code</code> in <code>errors[]</code>. No error is billed.</p>
${table(['Code', 'HTTP', 'Status', 'GraphQL', 'When'], rest)}</section>
<section>
<h2 id="graphql">GraphQL</h2>
<p>The HTTP status is that of an answer which is nothing but this failure; where some fields succeeded it is 200, with the code at the path of each that did not.</p>
${table(['extensions.code', 'HTTP', 'When'], graphql)}</section>
`;
}

/** The constants of the code that a client can meet. */
export function limitsPage({ limits, otherLimits }: Manual, names: Names): Html {
  return html`<p>Where this server is configured otherwise, its operator knows.</p>
${table(['Limit', 'Value'], limits.map(({ what, value }) => ({ cells: [line(what, names), html`${value}`] })))}${otherLimits.map((text) => html`<p>${line(text, names)}</p>\n`)}`;
}
