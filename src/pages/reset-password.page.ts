import { html } from '../lib/html';
import { form, type Problem } from './form';
import { page } from './html';

/** Asks whoever follows a reset's link for a new password. */
export function resetPasswordPage(token: string, problem?: Problem): string {
  return page(
    'Set a new password',
    form({
      action: '/reset-password',
      token,
      fields: [{ name: 'newPassword', label: 'Your new password', type: 'password', autocomplete: 'new-password', hint: '12 characters or more. It ends all your sessions, and all that you let applications do.' }],
      button: 'Set the password',
      problem,
    }),
  );
}

export const passwordWasSetPage = (): string => page('The password is set', html`<p role="status">It counts from now on, all your sessions have ended, and so has all that you let applications do. Sign in with it.</p>`);
