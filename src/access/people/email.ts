import { z } from 'zod';

const MAX_EMAIL_LENGTH = 254; // RFC 5321

/**
 * An address as it is stored and compared. Nobody has one that is too long, which is not looked at: what normalising takes grows with the
 * square of a text's combining marks.
 */
export const normaliseEmail = (text: string): string => (text.length > MAX_EMAIL_LENGTH ? '' : text.trim().normalize('NFKC').toLowerCase());

const TOO_LONG = `must be at most ${MAX_EMAIL_LENGTH} characters`;

/** An e-mail address, in the form that it is stored in. */
export const emailRule = z.string().max(MAX_EMAIL_LENGTH, TOO_LONG).transform(normaliseEmail).pipe(z.email('must be an e-mail address').max(MAX_EMAIL_LENGTH, TOO_LONG));
