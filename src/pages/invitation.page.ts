import type { Invited } from '../access/people/invitation.service';
import { html } from '../lib/html';
import { form, type Field, type Problem } from './form';
import { page } from './html';

const NEW_ACCOUNT: Field[] = [
  { name: 'name', label: 'Your name', type: 'text', autocomplete: 'name', hint: 'As others here are to call you.' },
  { name: 'password', label: 'A new password', type: 'password', autocomplete: 'new-password', hint: '12 characters or more.' },
];
const KNOWN_ACCOUNT: Field[] = [{ name: 'password', label: 'Your password', type: 'password', autocomplete: 'current-password', hint: 'That of your account here.' }];

/** Asks whoever follows an invitation's link for as much as is needed to accept it. */
export function invitationPage({ workspaceName, email, accountId }: Invited, visitor: { token: string; signedInId: string | undefined; name: string }, problem?: Problem): string {
  const fields = accountId === null ? NEW_ACCOUNT : accountId === visitor.signedInId ? [] : KNOWN_ACCOUNT;
  return page(
    `Join ${workspaceName}`,
    html`<p>This invitation is for ${email}.</p>
`,
    form({ action: '/invitation', token: visitor.token, fields: fields.map((field) => ({ ...field, value: visitor.name })), button: 'Accept the invitation', problem }),
  );
}

/** Says that it was accepted. */
export function acceptedPage({ workspaceName }: Invited, isSignedIn: boolean): string {
  return page(
    `Welcome to ${workspaceName}`,
    isSignedIn
      ? html`<p role="status">You are a member now, and signed in. <a href="/graphql">Explore the admin API</a>.</p>`
      : html`<p role="status">You are a member now. Your account has a second factor: sign in with your password and a code.</p>`,
  );
}
