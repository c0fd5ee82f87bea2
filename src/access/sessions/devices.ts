import { randomBase62 } from '../../lib/id';
import { normaliseEmail } from '../people/email';
import { triesOf, type Allowance } from './throttle';

// Device cookies, as OWASP describes them. A browser that has signed in to an account has separate tries there, which strangers cannot use
// up. The cookie does not authenticate. It holds a random nonce, and an HMAC of the nonce and the address for each account.

/** The most accounts in one cookie: the accounts that were last signed in to. */
const MAX_ACCOUNTS = 4;
const NONCE_LENGTH = 22;
const FORM = new RegExp(`^[0-9A-Za-z]{${NONCE_LENGTH}}(\\.[\\w-]{43}){1,${MAX_ACCOUNTS}}$`);

export class Devices {
  constructor(private readonly digest: (text: string) => string) {}

  /** The separate tries of a browser at an account, or undefined if its cookie does not prove an earlier sign-in. */
  triesOf(email: string, cookie: string | undefined): Allowance | undefined {
    const { nonce, proofs } = partsOf(cookie);
    if (nonce === undefined) return undefined;
    const proof = this.proofOf(email, nonce);
    return proofs.includes(proof) ? triesOf(`device:${proof}`) : undefined;
  }

  /** The new value of the device cookie after a sign-in to an account. */
  remember(email: string, cookie: string | undefined): string {
    const { nonce = randomBase62(NONCE_LENGTH), proofs } = partsOf(cookie);
    const proof = this.proofOf(email, nonce);
    const others = proofs.filter((other) => other !== proof);
    return [nonce, proof, ...others].slice(0, 1 + MAX_ACCOUNTS).join('.');
  }

  private proofOf(email: string, nonce: string): string {
    return this.digest(`device ${nonce} ${normaliseEmail(email)}`);
  }
}

function partsOf(cookie: string | undefined): { nonce: string | undefined; proofs: string[] } {
  if (cookie === undefined || !FORM.test(cookie)) return { nonce: undefined, proofs: [] };
  const [nonce, ...proofs] = cookie.split('.');
  return { nonce, proofs };
}
