import { ERRORS, type ErrorCode } from '../errors';
import { html, type Html } from '../lib/html';
import type { Manual } from '../lib/manual';
import type { Names } from './names';
import { line, table } from './prose';

/** How the two servers answer each error code. */
export interface Answers {
  httpStatusOf(code: ErrorCode): number;
  graphqlAnswerOf(code: ErrorCode): { code: string; status: number };
}

/** The GraphQL codes that are not in the table of errors. */
export const graphqlCodes = ({ graphqlErrors }: Manual): string[] =>
  graphqlErrors.map(({ code }) => code).filter((code) => !(code in ERRORS));

/** Renders the table of errors, with the answer of each server. */
export function errorsPage(manual: Manual, names: Names, { httpStatusOf, graphqlAnswerOf }: Answers): Html {
  const rest = (Object.entries(ERRORS) as [ErrorCode, (typeof ERRORS)[ErrorCode]][]).map(([code, { kind, message }]) => {
    const row = manual.restErrors.find((error) => error.code === code);
    const details = row?.details ? html`. Details: ${line(row.details, names)}` : '';
    return {
      id: code,
      cells: [
        html`<code>${code}</code>`,
        html`${String(httpStatusOf(code))}`,
        html`<code>${kind}</code>`,
        html`<code>${graphqlAnswerOf(code).code}</code>`,
        html`${message}${row ? html`<br><span class="quiet">${line(row.when, names)}${details}</span>` : ''}`,
      ],
    };
  });
  const statuses = new Map((Object.keys(ERRORS) as ErrorCode[]).map((code) => [graphqlAnswerOf(code).code, graphqlAnswerOf(code).status]));
  const graphql = manual.graphqlErrors.map(({ code, when }) => ({
    ...(code in ERRORS ? {} : { id: code }),
    cells: [html`<code>${code}</code>`, html`${String(statuses.get(code) ?? 400)}`, html`${line(when, names)}`],
  }));
  return html`<section>
<h2 id="codes">All codes</h2>
<p>REST answers with the HTTP status and <code>{ "error": { "status", "code", "message", "details" } }</code>.
GraphQL answers with <code>extensions.code</code> in <code>errors[]</code>. No error is billed.</p>
${table(['Code', 'HTTP', 'Status', 'GraphQL', 'When'], rest)}</section>
<section>
<h2 id="graphql">GraphQL</h2>
<p>The HTTP status is for an answer that has only this failure. If some fields succeeded, the status is 200, and each failed field has
its code at its path.</p>
${table(['extensions.code', 'HTTP', 'When'], graphql)}</section>
`;
}

/** Renders the limits that a client can reach. */
export function limitsPage({ limits, otherLimits }: Manual, names: Names): Html {
  const rows = limits.map(({ what, value }) => ({ cells: [line(what, names), html`${value}`] }));
  return html`<p>These are the defaults. Ask the operator whether this server has other values.</p>
${table(['Limit', 'Value'], rows)}${otherLimits.map((text) => html`<p>${line(text, names)}</p>\n`)}`;
}
