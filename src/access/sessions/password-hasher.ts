import { hkdfSync } from 'node:crypto';
import { hash, verify } from '@node-rs/argon2';
import { TollgateError, invalid } from '../../errors';

// Argon2id with the parameters of OWASP's Password Storage Cheat Sheet.
const ARGON2ID = 2;
const HASH_MEMORY_KIB = 19_456;
const HASH_PASSES = 2;
const HASH_LANES = 1;

/** Hashes that a process computes at the same time. Each one uses a thread of Node's small pool, and 19 MiB. */
const MAX_HASHES_AT_ONCE = 2;
/** Hashes that may wait. Further ones are refused. */
const MAX_HASHES_WAITING = 64;
/**
 * Most hashes of one device or account that may wait. The limit on password tries is not enough: it does not count tries with the right
 * password.
 */
const MAX_HASHES_WAITING_EACH = 8;

const MIN_PASSWORD_LENGTH = 12;
const MAX_PASSWORD_LENGTH = 256;
/** Longest password in UTF-16 units, before it is normalised. A longer one is refused without being normalised. */
const MAX_TYPED_LENGTH = 1_024;

/** A hash that no password matches. To check it takes the same time as to check any other hash. */
const UNMATCHED_HASH = `$argon2id$v=19$m=${HASH_MEMORY_KIB},t=${HASH_PASSES},p=${HASH_LANES}$bm9ib2R5J3Mgc2FsdCAxMg$${'A'.repeat(43)}`;

/**
 * Gives the same letter the same bytes, because two keyboards may encode one letter in two ways. Throws for texts over MAX_TYPED_LENGTH,
 * because the time grows with the square of the number of combining marks.
 */
function normalise(password: string): string {
  if (password.length > MAX_TYPED_LENGTH) throw new Error('A password is too long to be normalised.');
  return password.normalize('NFKC');
}

/** Throws INVALID_REQUEST if a new password is too short, too long or equal to the e-mail address. */
export function requireGoodPassword(password: string, email: string, field: string): void {
  const refuse = (message: string): never => {
    throw invalid({ path: ['input', field], message });
  };
  if (password.length > MAX_TYPED_LENGTH) refuse(`must be at most ${MAX_PASSWORD_LENGTH} characters`);
  const { length } = [...normalise(password)];
  if (length < MIN_PASSWORD_LENGTH) refuse(`must be at least ${MIN_PASSWORD_LENGTH} characters`);
  if (length > MAX_PASSWORD_LENGTH) refuse(`must be at most ${MAX_PASSWORD_LENGTH} characters`);
  if (normalise(password).toLowerCase() === email) refuse('must not be the e-mail address');
}

/**
 * Creates and checks hashes of passwords, a few at a time. The hashes depend on the pepper, which is not in the database. So an attacker
 * with a stolen database cannot test guesses.
 */
export class PasswordHasher {
  private readonly secret: Buffer;
  private atOnce = 0;
  /** Queues by source. The first one in the map is served next. */
  private readonly queues = new Map<string, Queue>();

  constructor(pepper: string) {
    this.secret = Buffer.from(hkdfSync('sha256', pepper, '', 'tollgate passwords', 32));
  }

  /**
   * Creates the hash of a password. `source` names the caller. Sources take turns. Throws SERVICE_UNAVAILABLE if too many hashes wait, in
   * total or for this source.
   */
  hash(password: string, source: string): Promise<string> {
    const { secret } = this;
    return this.inTurn(source, false, () =>
      hash(normalise(password), {
        algorithm: ARGON2ID,
        memoryCost: HASH_MEMORY_KIB,
        timeCost: HASH_PASSES,
        parallelism: HASH_LANES,
        secret,
      }),
    );
  }

  /**
   * Returns true if a password matches a hash. Without a hash it returns false after the same time, so that a caller cannot find out which
   * accounts exist. Throws SERVICE_UNAVAILABLE like `hash`. If too many hashes wait, hashes for strangers are refused first.
   */
  verify(hashed: string | undefined, password: string, source: string, isStranger = false): Promise<boolean> {
    const [known, typed] = password.length > MAX_TYPED_LENGTH ? [undefined, ''] : [hashed, normalise(password)];
    return this.inTurn(source, isStranger, () => verify(known ?? UNMATCHED_HASH, typed, { secret: this.secret }));
  }

  private async inTurn<T>(source: string, isStranger: boolean, work: () => Promise<T>): Promise<T> {
    if (this.atOnce === MAX_HASHES_AT_ONCE)
      await this.turn(source, isStranger); // a finished hash gives its place to this one
    else this.atOnce += 1;
    try {
      return await work();
    } finally {
      if (!this.beginNext()) this.atOnce -= 1;
    }
  }

  private turn(source: string, isStranger: boolean): Promise<void> {
    const queue = this.queues.get(source) ?? { isStranger, waiting: [] };
    const isGreedy = !isStranger && queue.waiting.length === MAX_HASHES_WAITING_EACH; // strangers are limited by the tries of their address
    if (isGreedy || (this.count() >= MAX_HASHES_WAITING && !this.makeRoomFor(queue)))
      return Promise.reject(new TollgateError('SERVICE_UNAVAILABLE'));
    this.queues.set(source, queue);
    return new Promise((begin, refuse) => queue.waiting.push({ begin, refuse }));
  }

  /** Starts the next hash, of the source that has waited longest for its turn. Returns false if no hash waits. */
  private beginNext(): boolean {
    const [next] = this.queues;
    if (!next) return false;
    const [source, queue] = next;
    this.queues.delete(source);
    const first = queue.waiting.shift();
    if (queue.waiting.length > 0) this.queues.set(source, queue);
    first?.begin();
    return true;
  }

  /**
   * Makes room for a new hash: refuses the last hash of another queue, the longest of those that may lose one. A queue may lose one if it
   * is longer than the queue of the new hash, or if it belongs to strangers and the new hash does not. Returns false if there is no such
   * queue.
   */
  private makeRoomFor({ isStranger, waiting }: Queue): boolean {
    const candidates = [...this.queues].filter(
      ([, queue]) => (queue.isStranger && !isStranger) || queue.waiting.length > waiting.length + 1,
    );
    const [longest] = candidates.sort(([, left], [, right]) => right.waiting.length - left.waiting.length);
    if (!longest) return false;
    const [source, queue] = longest;
    queue.waiting.pop()?.refuse(new TollgateError('SERVICE_UNAVAILABLE'));
    if (queue.waiting.length === 0) this.queues.delete(source);
    return true;
  }

  private count(): number {
    return [...this.queues.values()].reduce((sum, { waiting }) => sum + waiting.length, 0);
  }
}

/** The waiting hashes of one source. */
interface Queue {
  isStranger: boolean;
  waiting: { begin: () => void; refuse: (error: TollgateError) => void }[];
}
