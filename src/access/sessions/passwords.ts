import { hkdfSync } from 'node:crypto';
import { hash, verify } from '@node-rs/argon2';
import { TollgateError, invalid } from '../../errors';

// Argon2id, as OWASP's Password Storage Cheat Sheet asks for it.
const ARGON2ID = 2;
const HASH_MEMORY_KIB = 19_456;
const HASH_PASSES = 2;
const HASH_LANES = 1;

/** Hashes that a process works at: each takes a thread of Node's few, and 19 MiB. */
const MAX_HASHES_AT_ONCE = 2;
/** Hashes that wait for their turn; what comes after is told to come later. */
const MAX_HASHES_WAITING = 64;
/** Of these for one device or account: a right password gives its try back, so that its owner could make all others wait. */
const MAX_HASHES_WAITING_EACH = 8;

const MIN_PASSWORD_LENGTH = 12;
const MAX_PASSWORD_LENGTH = 256;
/** In UTF-16 units as they were typed: what is longer is no password, and is not looked at. */
const MAX_TYPED_LENGTH = 1_024;

/** No password has this hash; to find that out takes as long as with any other. */
const HASH_OF_NOBODY = `$argon2id$v=19$m=${HASH_MEMORY_KIB},t=${HASH_PASSES},p=${HASH_LANES}$bm9ib2R5J3Mgc2FsdCAxMg$${'A'.repeat(43)}`;

/** Two keyboards may write one letter in two ways. To bring them together takes time that grows with the square of a text's marks. */
function normalise(password: string): string {
  if (password.length > MAX_TYPED_LENGTH) throw new Error('A password is too long to be normalised.');
  return password.normalize('NFKC');
}

/** INVALID_REQUEST for a password that nobody may choose: too short, too long, or the e-mail address itself. */
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

/** Makes and checks the hashes of passwords, a few at a time. Without the pepper, which is in no database, a guess cannot be tried at one. */
export class Passwords {
  private readonly secret: Buffer;
  private atOnce = 0;
  /** By source; the one that is served next comes first. */
  private readonly queues = new Map<string, Queue>();

  constructor(pepper: string) {
    this.secret = Buffer.from(hkdfSync('sha256', pepper, '', 'tollgate passwords', 32));
  }

  /**
   * What is stored of a password. `whose` names who asks: sources are served in turns. SERVICE_UNAVAILABLE if too many hashes wait, or too many
   * of that source.
   */
  hash(password: string, whose: string): Promise<string> {
    const { secret } = this;
    return this.inTurn(whose, false, () =>
      hash(normalise(password), { algorithm: ARGON2ID, memoryCost: HASH_MEMORY_KIB, timeCost: HASH_PASSES, parallelism: HASH_LANES, secret }),
    );
  }

  /** Whether a hash is that of a password. False after the same time where there is no hash. SERVICE_UNAVAILABLE as above, for strangers first. */
  verify(hashed: string | undefined, password: string, whose: string, isStranger = false): Promise<boolean> {
    const [known, typed] = password.length > MAX_TYPED_LENGTH ? [undefined, ''] : [hashed, normalise(password)];
    return this.inTurn(whose, isStranger, () => verify(known ?? HASH_OF_NOBODY, typed, { secret: this.secret }));
  }

  private async inTurn<T>(whose: string, isStranger: boolean, work: () => Promise<T>): Promise<T> {
    if (this.atOnce === MAX_HASHES_AT_ONCE) await this.turn(whose, isStranger); // the place is handed over
    else this.atOnce += 1;
    try {
      return await work();
    } finally {
      if (!this.beginNext()) this.atOnce -= 1;
    }
  }

  private turn(whose: string, isStranger: boolean): Promise<void> {
    const queue = this.queues.get(whose) ?? { isStranger, waiting: [] };
    const isGreedy = !isStranger && queue.waiting.length === MAX_HASHES_WAITING_EACH; // the tries of an address bound those of a stranger
    if (isGreedy || (this.count() >= MAX_HASHES_WAITING && !this.makeRoomFor(queue))) return Promise.reject(new TollgateError('SERVICE_UNAVAILABLE'));
    this.queues.set(whose, queue);
    return new Promise((begin, refuse) => queue.waiting.push({ begin, refuse }));
  }

  /** Begins the next hash of the source that was served longest ago. */
  private beginNext(): boolean {
    const [next] = this.queues;
    if (!next) return false;
    const [whose, queue] = next;
    this.queues.delete(whose);
    const first = queue.waiting.shift();
    if (queue.waiting.length > 0) this.queues.set(whose, queue);
    first?.begin();
    return true;
  }

  /** Refuses the last hash of the longest queue, if it is a stranger's and the newcomer is none, or if it is longer than that of the newcomer. */
  private makeRoomFor({ isStranger, waiting }: Queue): boolean {
    const all = [...this.queues].filter(([, queue]) => (queue.isStranger && !isStranger) || queue.waiting.length > waiting.length + 1);
    const [longest] = all.sort(([, one], [, other]) => other.waiting.length - one.waiting.length);
    if (!longest) return false;
    const [whose, queue] = longest;
    queue.waiting.pop()?.refuse(new TollgateError('SERVICE_UNAVAILABLE'));
    if (queue.waiting.length === 0) this.queues.delete(whose);
    return true;
  }

  private count(): number {
    return [...this.queues.values()].reduce((sum, { waiting }) => sum + waiting.length, 0);
  }
}

/** The hashes of one source that wait. */
interface Queue {
  isStranger: boolean;
  waiting: { begin: () => void; refuse: (error: TollgateError) => void }[];
}
