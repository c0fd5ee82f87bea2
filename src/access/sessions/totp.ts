import { Secret, TOTP } from 'otpauth';

// Time-based codes of RFC 6238, with the parameters that every authenticator supports.

const STEP_SECONDS = 30;
const CODE_DIGITS = 6;
/** Steps before and after the current one with valid codes, because clocks of phones differ. */
const STEPS_AROUND = 1;
const SECRET_BYTES = 20;

const totpOf = (secret: string, label?: string): TOTP =>
  new TOTP({
    issuer: 'Tollgate',
    ...(label && { label }),
    secret: Secret.fromBase32(secret),
    algorithm: 'SHA1',
    digits: CODE_DIGITS,
    period: STEP_SECONDS,
  });

/** A new secret in base 32. */
export const newTotpSecret = (): string => new Secret({ size: SECRET_BYTES }).base32;

/** The text of the QR code for an authenticator. */
export const totpUri = (secret: string, email: string): string => totpOf(secret, email).toString();

/**
 * Whether a code of `step` is refused because a code of `lastStep` was used. Ignores a last step that is too far in the future, because it
 * was stored while a clock was wrong.
 */
export const isUsedUp = (step: number, lastStep: number | null): boolean =>
  lastStep !== null && step <= lastStep && lastStep <= step + 2 * STEPS_AROUND;

/** The step of a code, or null if the code is not valid at this time. */
export function stepOfCode(secret: string, code: string, at: Date): number | null {
  if (!/^[0-9]{6}$/.test(code)) return null;
  const delta = totpOf(secret).validate({ token: code, timestamp: at.getTime(), window: STEPS_AROUND });
  return delta === null ? null : Math.floor(at.getTime() / (STEP_SECONDS * 1000)) + delta;
}
