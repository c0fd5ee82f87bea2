import { html } from '../lib/html';
import { form, type Problem } from './form';
import { page } from './page';

const HINT = '12 characters or more. The new password ends all your sessions and the access of all applications.';

/** The page of a password reset link. */
export function resetPasswordPage(token: string, problem?: Problem): string {
  return page(
    'Set a new password',
    form({
      action: '/reset-password',
      token,
      fields: [{ name: 'newPassword', label: 'Your new password', type: 'password', autocomplete: 'new-password', hint: HINT }],
      button: 'Set the password',
      problem,
    }),
  );
}

/** The page after a password reset. */
export function passwordWasSetPage(): string {
  return page(
    'The password is set',
    html`<p role="status">For safety, all your sessions have ended and applications have lost access. Sign in with the new password.</p>`,
  );
}
