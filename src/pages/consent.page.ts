import { isAdministrative, isIdentityScope, type Permission } from '../access/permissions';
import { html, type Html } from '../lib/html';
import type { Asked, Choice } from '../oauth/authorization';
import { alert, form, type Field, type Problem } from './form';
import { page } from './page';

/** The page on which a person signs in for an application. Never shows a typed password again. */
export function signInPage({ client }: Asked, action: string, email: string, problem?: Problem): string {
  return page(
    'Sign in',
    html`<p><bdi>${client.name}</bdi> asks for access to your account. Sign in to see what it asks for.</p>
`,
    form({ action: `${action}/sign-in`, fields: signInFields(client.name, email), button: 'Sign in', problem }),
  );
}

const signInFields = (clientName: string, email: string): Field[] => [
  {
    name: 'email',
    label: 'Your e-mail address',
    type: 'email',
    autocomplete: 'username',
    hint: 'The address of your account on this site.',
    value: email,
  },
  {
    name: 'password',
    label: 'Your password',
    type: 'password',
    autocomplete: 'current-password',
    hint: `It stays on this site: ${clientName} does not see it.`,
  },
  {
    name: 'code',
    label: 'Authentication code',
    type: 'text',
    autocomplete: 'one-time-code',
    hint: 'Only if your account has a second factor. Otherwise leave it empty.',
    optional: true,
  },
];

/** The page on which a person allows or refuses an application: names the application, the project, the permissions and the duration. */
export function consentPage(asked: Asked, choice: Choice, action: string, email: string): string {
  const refusal = reasonAgainst(choice);
  return page(
    `Allow ${asked.client.name}?`,
    introduction(asked, choice, email),
    refusal === undefined ? html`` : alert(refusal),
    html`<form method="post" action="${action}">
${refusal === undefined ? consentFields(asked, choice) : []}${REFUSE_BUTTON}
</form>
<form method="post" action="${action}/sign-out"><button class="other" type="submit">Use another account</button></form>
`,
  );
}

/** Why the person cannot allow the application, or undefined if they can. */
function reasonAgainst({ projects, granted }: Choice): string | undefined {
  if (projects.length === 0) return 'You are in no project of the workspace that this application belongs to.';
  if (granted.length === 0) return 'You do not have any of the permissions that it asks for.';
  return undefined;
}

/** Does not name the workspace to people who are in none of its projects. */
function introduction({ client, workspaceName, redirectUri }: Asked, { projects }: Choice, email: string): Html {
  const workspace = projects.length === 0 ? '' : html`, an application of <bdi>${workspaceName}</bdi>,`;
  const application = html`<strong><bdi>${client.name}</bdi></strong>${workspace}`;
  return html`<p>${application} asks to act for you, ${email}. You will be sent to ${destination(redirectUri)}.</p>
`;
}

/** The project comes before the permissions that depend on it. */
function consentFields({ workspaceName }: Asked, { projects, granted, lacking }: Choice): Html {
  const identity = granted.filter(({ name }) => isIdentityScope(name));
  const administrative = granted.filter(({ name }) => isAdministrative(name));
  const others = granted.filter(({ name }) => !isIdentityScope(name) && !isAdministrative(name));
  return html`${permissionList('About you, it would', identity)}${projectField(projects)}${[
    permissionList('In the project that you choose, it could', others),
    permissionList(`In the whole workspace ${workspaceName}, it could`, administrative),
  ]}<p>Access continues until you withdraw it.</p>
${lackingNote(lacking)}<button type="submit" name="decision" value="allow">Allow</button>
`;
}

function projectField(projects: Choice['projects']): Html {
  const options = projects.map(({ id, name }) => html`<option value="${id}">${name}</option>
`);
  return html`<label for="projectId">In which project</label>
<select id="projectId" name="projectId" required>
${options}</select>
`;
}

function permissionList(heading: string, permissions: Permission[]): Html {
  if (permissions.length === 0) return html``;
  const items = permissions.map(({ name, description }) => html`<li>${description} <code>${name}</code></li>
`);
  return html`<h2>${heading}</h2>
<ul>
${items}</ul>
`;
}

function lackingNote(lacking: string[]): Html {
  if (lacking.length === 0) return html``;
  return html`<p>It also asks for permissions that you do not have: ${lacking.join(', ')}.</p>
`;
}

const REFUSE_BUTTON = html`<button class="other" type="submit" name="decision" value="refuse" formnovalidate>Refuse</button>`;

/** Returns where the browser goes next, in words: the host, or the scheme of a program on the device. */
function destination(uri: string): string {
  const { protocol, host } = new URL(uri);
  return /^https?:$/.test(protocol) ? host : `the program that has the name ${protocol.slice(0, -1)}`;
}
