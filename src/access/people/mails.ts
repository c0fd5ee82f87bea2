import { TollgateError } from '../../errors';
import type { Mail } from './mailer';

// What is written to people, as plain text.

export function invitationMail(to: string, workspaceName: string, link: string, days: number): Mail {
  const text = `You are invited to the workspace ${workspaceName} on Tollgate.\n\nFollow this link to accept; it works once, for ${days} days:\n\n${link}\n\nIf you expected no invitation, do nothing.\n`;
  return { to, subject: `Your invitation to ${workspaceName}`, text };
}

export function passwordResetMail(to: string, link: string): Mail {
  const text = `Somebody, hopefully you, wants to set a new password for your account on Tollgate.\n\nFollow this link to set one; it works once, for an hour:\n\n${link}\n\nIf it was not you, do nothing: your password stays as it is.\n`;
  return { to, subject: 'Set a new password', text };
}

/** Where the link of a mail is followed and does not work. */
export const deadLink = (): TollgateError => new TollgateError('NOT_FOUND', 'This link is not valid, or not any more.');
