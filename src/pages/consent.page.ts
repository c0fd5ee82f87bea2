import { isAdministrative, isIdentityScope, type Permission } from '../access/permissions';
import { html, type Html } from '../lib/html';
import type { Asked, Choice } from '../oauth/authorization';
import { alert, form, type Problem } from './form';
import { page } from './html';

/** Asks whoever comes from an application to sign in. Passwords never come back with what was typed. */
export function signInPage({ client }: Asked, action: string, email: string, problem?: Problem): string {
  return page(
    'Sign in',
    html`<p><bdi>${client.name}</bdi> wants to know who you are, or to act for you. Sign in to see what it asks.</p>
`,
    form({
      action: `${action}/sign-in`,
      fields: [
        { name: 'email', label: 'Your e-mail address', type: 'email', autocomplete: 'username', hint: 'That of your account here.', value: email },
        { name: 'password', label: 'Your password', type: 'password', autocomplete: 'current-password', hint: `It is for this site alone: ${client.name} never sees it.` },
        { name: 'code', label: 'A code', type: 'text', autocomplete: 'one-time-code', hint: 'Where your account has a second factor; leave it empty otherwise.', optional: true },
      ],
      button: 'Sign in',
      problem,
    }),
  );
}

/** Asks a person whether an application may act for them: who it is, for what, where, and for how long. */
export function consentPage({ client, workspaceName, redirectUri }: Asked, { projects, granted, lacking }: Choice, action: string, email: string): string {
  const nothing = projects.length === 0 ? 'You are in no project of the workspace that this application belongs to.' : granted.length === 0 ? 'You may not grant anything that it asks for.' : undefined;
  return page(
    `Allow ${client.name}?`,
    html`<p><strong><bdi>${client.name}</bdi></strong>${projects.length === 0 ? '' : html`, an application of <bdi>${workspaceName}</bdi>,`} asks to act for you, ${email}. You will be sent to ${destination(redirectUri)}.</p>
${nothing === undefined ? [] : alert(nothing)}<form method="post" action="${action}">
${
      nothing === undefined
        ? html`${[
            ...list('About you, it would', granted.filter(({ name }) => isIdentityScope(name))),
            ...list('In the project that you choose, it could', granted.filter(({ name }) => !isIdentityScope(name) && !isAdministrative(name))),
            ...list(`In the whole workspace ${workspaceName}, it could`, granted.filter(({ name }) => isAdministrative(name))),
          ]}<p>It goes on while you are away, until you withdraw your consent.</p>
${lacking.length === 0 ? [] : html`<p>It asks for more, which you cannot grant: ${lacking.join(', ')}.</p>
`}<label for="projectId">In which project</label>
<select id="projectId" name="projectId" required>
${projects.map(({ id, name }) => html`<option value="${id}">${name}</option>
`)}</select>
<button type="submit" name="decision" value="allow">Allow</button>
`
        : []
    }<button class="other" type="submit" name="decision" value="refuse" formnovalidate>Refuse</button>
</form>
<form method="post" action="${action}/sign-out"><button class="other" type="submit">Use another account</button></form>
`,
  );
}

function list(heading: string, permissions: Permission[]): Html[] {
  const items = permissions.map(({ name, description }) => html`<li>${description} <code>${name}</code></li>
`);
  return items.length === 0 ? [] : [html`<h2>${heading}</h2>
<ul>
${items}</ul>
`];
}

/** Where a person ends up, as they can recognise it. */
function destination(uri: string): string {
  const { protocol, host } = new URL(uri);
  return /^https?:$/.test(protocol) ? host : `the program that has the name ${protocol.slice(0, -1)}`;
}
