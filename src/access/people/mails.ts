import { TollgateError } from '../../errors';
import type { Mail } from './mailer';

// The texts of mails to people.

export function invitationMail(to: string, workspaceName: string, link: string, days: number): Mail {
  const text =
    `You are invited to the workspace ${workspaceName} on Tollgate.\n\n` +
    `Follow this link to accept. It works once, within ${days} days:\n\n${link}\n\n` +
    'If you did not expect an invitation, do nothing.\n';
  return { to, subject: `Your invitation to ${workspaceName}`, text };
}

export function passwordResetMail(to: string, link: string): Mail {
  const text =
    'A new password was requested for your account on Tollgate.\n\n' +
    `Follow this link to set it. It works once, within one hour:\n\n${link}\n\n` +
    'If you did not request it, do nothing. Your password stays the same.\n';
  return { to, subject: 'Set a new password', text };
}

/** The error for a link that is unknown, used, withdrawn or expired. It is the same in all these cases. */
export const deadLink = (): TollgateError => new TollgateError('NOT_FOUND', 'This link is invalid or has expired. Ask for a new one.');
