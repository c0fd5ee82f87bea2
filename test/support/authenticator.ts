import { Secret, TOTP } from 'otpauth';

/** The authenticator and the recovery codes of a person. */
export class Authenticator {
  private secret: string | undefined;
  private recoveryCodes: string[] = [];

  /** Keeps the secret and the recovery codes of an answer. */
  learn(answer: string): void {
    this.secret = /"secret":"([A-Z2-7]{16,})"/.exec(answer)?.[1] ?? this.secret;
    const codes = /"recoveryCodes":(\[[^\]]*\])/.exec(answer)?.[1];
    if (codes !== undefined) this.recoveryCodes = JSON.parse(codes) as string[];
  }

  /** Replaces the example codes in a text with the current code and the next recovery code. */
  fill(text: string): string {
    return text
      .replace('"123456"', () => JSON.stringify(codeAt(this.secret ?? '', Date.now())))
      .replace(/"(k7wqm-x2hfd|p3txd-9nvca)"/, () => JSON.stringify(this.recoveryCodes.shift()));
  }
}

/** The code of a secret at a time. */
export const codeAt = (secret: string, timeMs: number): string =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: timeMs });
