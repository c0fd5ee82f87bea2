import { Secret, TOTP } from 'otpauth';

/** A person's authenticator, and the paper with their recovery codes. */
export class Authenticator {
  private secret: string | undefined;
  private recoveryCodes: string[] = [];

  /** Keeps the secret and the codes that an answer shows. */
  learn(answer: string): void {
    this.secret = /"secret":"([A-Z2-7]{16,})"/.exec(answer)?.[1] ?? this.secret;
    const codes = /"recoveryCodes":(\[[^\]]*\])/.exec(answer)?.[1];
    if (codes !== undefined) this.recoveryCodes = JSON.parse(codes) as string[];
  }

  /** A document's text with the code of this moment and the next recovery code, where it shows examples of them. */
  fill(text: string): string {
    return text.replace('"123456"', () => JSON.stringify(codeAt(this.secret ?? '', Date.now()))).replace(/"(k7wqm-x2hfd|p3txd-9nvca)"/, () => JSON.stringify(this.recoveryCodes.shift()));
  }
}

/** What an authenticator with a secret shows at a time. */
export const codeAt = (secret: string, timeMs: number): string => new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: timeMs });
