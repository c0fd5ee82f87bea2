import { html, type Html } from '../lib/html';

/** The largest form, in bytes. */
export const FORM_LIMIT_BYTES = 16_384;

/** A field of a form. Passwords never come back with what was typed. */
export interface Field {
  name: string;
  label: string;
  type: 'text' | 'password' | 'email';
  autocomplete: 'name' | 'new-password' | 'current-password' | 'username' | 'one-time-code';
  hint: string;
  value?: string;
  optional?: true;
}

/** What a visitor did wrong, in words, and with which field where that is known. */
export interface Problem {
  message: string;
  field?: string | undefined;
}

/** A form that posts to `action`, with a link's token where there is one. */
export function form({ action, token, fields, button, problem }: { action: string; token?: string; fields: Field[]; button: string; problem: Problem | undefined }): Html {
  return html`${problem ? [alert(problem.message)] : []}<form method="post" action="${action}">
${token === undefined ? [] : html`<input type="hidden" name="token" value="${token}">
`}${fields.map((field) => input(field, problem?.field === field.name))}<button type="submit">${button}</button>
</form>`;
}

export const alert = (message: string): Html => html`<p class="alert" role="alert">${message}</p>
`;

function input({ name, label, type, autocomplete, hint, value = '', optional }: Field, wrong: boolean): Html {
  return html`<label for="${name}">${label}</label>
<input id="${name}" name="${name}" type="${type}" autocomplete="${autocomplete}" aria-describedby="${name}-hint" aria-invalid="${String(wrong)}" value="${type === 'password' ? '' : value}"${optional ? '' : html` required`}>
<small id="${name}-hint">${hint}</small>
`;
}

/** One value of a form or of an address; nothing where it was left out or given twice. */
export function textOf(values: unknown, name: string): string {
  const value = (values as Record<string, unknown> | undefined)?.[name];
  return typeof value === 'string' ? value : '';
}
