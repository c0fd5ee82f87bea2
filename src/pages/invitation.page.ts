import type { Invited } from '../access/people/invitation.service';
import { html } from '../lib/html';
import { form, type Field, type Problem } from './form';
import { page } from './page';

const NEW_ACCOUNT: Field[] = [
  { name: 'name', label: 'Your name', type: 'text', autocomplete: 'name', hint: 'Other members see it.' },
  { name: 'password', label: 'A new password', type: 'password', autocomplete: 'new-password', hint: '12 characters or more.' },
];
const KNOWN_ACCOUNT: Field[] = [
  {
    name: 'password',
    label: 'Your password',
    type: 'password',
    autocomplete: 'current-password',
    hint: 'The password of your account on this site.',
  },
];

interface Visitor {
  token: string;
  /** Person who is signed in in this browser. */
  signedInId: string | undefined;
  /** Name that the visitor typed. */
  name: string;
}

/** The page of an invitation link. Asks only for the fields that accepting it needs. */
export function invitationPage({ workspaceName, email, accountId }: Invited, visitor: Visitor, problem?: Problem): string {
  const fields = accountId === null ? NEW_ACCOUNT : accountId === visitor.signedInId ? [] : KNOWN_ACCOUNT;
  return page(
    `Join ${workspaceName}`,
    html`<p>This invitation is for ${email}.</p>
`,
    form({
      action: '/invitation',
      token: visitor.token,
      fields: fields.map((field) => ({ ...field, value: visitor.name })),
      button: 'Accept the invitation',
      problem,
    }),
  );
}

/** The page after accepting an invitation. */
export function acceptedPage({ workspaceName }: Invited, isSignedIn: boolean): string {
  return page(
    `Welcome to ${workspaceName}`,
    isSignedIn
      ? html`<p role="status">You are a member now, and signed in. <a href="/graphql">Explore the admin API</a>.</p>`
      : html`<p role="status">You are a member now. Your account has a second factor: sign in with your password and a code.</p>`,
  );
}
