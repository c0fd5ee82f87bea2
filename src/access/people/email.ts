import { z } from 'zod';

const MAX_EMAIL_LENGTH = 254; // RFC 5321

/**
 * The form of an address that is stored and compared. Returns an empty text for addresses over 254 characters without normalising them,
 * because the time grows with the square of the combining marks.
 */
export const normaliseEmail = (text: string): string => (text.length > MAX_EMAIL_LENGTH ? '' : text.trim().normalize('NFKC').toLowerCase());

const TOO_LONG = `must be at most ${MAX_EMAIL_LENGTH} characters`;

/** Accepts an e-mail address and returns its stored form. */
export const emailRule = z
  .string()
  .max(MAX_EMAIL_LENGTH, TOO_LONG)
  .transform(normaliseEmail)
  .pipe(z.email('must be an e-mail address').max(MAX_EMAIL_LENGTH, TOO_LONG));
