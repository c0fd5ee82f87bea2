import { Secret, TOTP } from 'otpauth';

// Codes by time: RFC 6238, as every authenticator has it.

const STEP_SECONDS = 30;
const CODE_DIGITS = 6;
/** Steps before and after the present one whose codes count, as phones' clocks differ. */
const STEPS_AROUND = 1;
const SECRET_BYTES = 20;

const totpOf = (secret: string, label?: string): TOTP =>
  new TOTP({ issuer: 'Tollgate', ...(label && { label }), secret: Secret.fromBase32(secret), algorithm: 'SHA1', digits: CODE_DIGITS, period: STEP_SECONDS });

/** A new secret, in base 32. */
export const newTotpSecret = (): string => new Secret({ size: SECRET_BYTES }).base32;

/** What an authenticator reads from a QR code. */
export const totpUri = (secret: string, email: string): string => totpOf(secret, email).toString();

/** Whether a code of `step`, which counts now, is refused because one of `lastStep` was used. A last step that lies further ahead was used by a clock that was wrong. */
export const isUsedUp = (step: number, lastStep: number | null): boolean => lastStep !== null && step <= lastStep && lastStep <= step + 2 * STEPS_AROUND;

/** The step whose code this is at a time; null where it is that of no step around. */
export function stepOfCode(secret: string, code: string, at: Date): number | null {
  if (!/^[0-9]{6}$/.test(code)) return null;
  const delta = totpOf(secret).validate({ token: code, timestamp: at.getTime(), window: STEPS_AROUND });
  return delta === null ? null : Math.floor(at.getTime() / (STEP_SECONDS * 1000)) + delta;
}
