import { html, type Html } from '../lib/html';
import { page } from './page';

/** Largest body of a form, in bytes. */
export const FORM_LIMIT_BYTES = 16_384;

/** A field of a form. The value of a password field is never shown again. */
export interface Field {
  name: string;
  label: string;
  type: 'text' | 'password' | 'email';
  autocomplete: 'name' | 'new-password' | 'current-password' | 'username' | 'one-time-code';
  hint: string;
  value?: string;
  optional?: true;
}

/** A message about invalid input, and the name of its field if known. */
export interface Problem {
  message: string;
  field?: string | undefined;
}

interface Form {
  /** URL that the form is posted to. */
  action: string;
  /** Token of a link in a mail. */
  token?: string;
  fields: Field[];
  button: string;
  problem: Problem | undefined;
}

/** Writes a form, with its problem above it. */
export function form({ action, token, fields, button, problem }: Form): Html {
  return html`${problem ? [alert(problem.message)] : []}<form method="post" action="${action}">
${token === undefined ? [] : html`<input type="hidden" name="token" value="${token}">
`}${fields.map((field) => input(field, problem?.field === field.name))}<button type="submit">${button}</button>
</form>`;
}

export const alert = (message: string): Html => html`<p class="alert" role="alert">${message}</p>
`;

/** Writes a page that only says why a request failed. */
export const problemPage = (message: string): string => page('That did not work', alert(message));

function input({ name, label, type, autocomplete, hint, value = '', optional }: Field, isInvalid: boolean): Html {
  const accessibility = html`aria-describedby="${name}-hint" aria-invalid="${String(isInvalid)}"`;
  const shownValue = type === 'password' ? '' : value;
  const required = optional ? '' : html` required`;
  return html`<label for="${name}">${label}</label>
<input id="${name}" name="${name}" type="${type}" autocomplete="${autocomplete}" ${accessibility} value="${shownValue}"${required}>
<small id="${name}-hint">${hint}</small>
`;
}

/** Returns a value of a form or query. Returns an empty string if it is absent or given twice. */
export function textOf(values: unknown, name: string): string {
  const value = (values as Record<string, unknown> | undefined)?.[name];
  return typeof value === 'string' ? value : '';
}
