import { z } from 'zod';

const MAX_EMAIL_LENGTH = 254; // RFC 5321

/** An address as it is stored and compared. */
export const normaliseEmail = (text: string): string => text.trim().normalize('NFKC').toLowerCase();

/** An e-mail address, in the form that it is stored in. */
export const emailRule = z.string().transform(normaliseEmail).pipe(z.email('must be an e-mail address').max(MAX_EMAIL_LENGTH, `must be at most ${MAX_EMAIL_LENGTH} characters`));
