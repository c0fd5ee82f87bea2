import { hkdfSync } from 'node:crypto';
import { linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { recordEvent } from '../audit/record-event';
import { ConfigError, pepperIn, type Config } from '../config';
import { forUpdate, type Database } from '../db/database';
import { isDuplicate } from '../db/failures';
import { hmacSha256 } from '../lib/hmac';
import { randomBase62 } from '../lib/id';
import { systemAuthority } from './authority';
import { Setting } from './installation.entity';
import { OPERATOR } from './principal';

const PEPPER_SETTING = 'pepper-fingerprint';
const ROOT_KEY_SETTING = 'root-key-digest';

/** The secrets that all processes of one installation share. */
export interface Installation {
  pepper: string;
  /**
   * The stored form of a secret: HMAC-SHA256 with the pepper, base64url, 43 characters. The database looks it up, so no comparison of
   * bytes can leak its contents by timing.
   */
  digest(text: string): string;
  /** `whsec_` secrets that sign calls to upstreams. */
  signingSecrets: readonly string[];
  /** The root key, if this start created it. Show it once: it is not stored. */
  newRootKey: string | undefined;
}

/**
 * The secrets of this process. Checks them against the digests in the database. Throws a ConfigError if the database was started with
 * other secrets.
 */
export async function openInstallation(config: Config, database: Database): Promise<Installation> {
  const secrets = await openSecrets(config, database);
  const rootKey = config.rootKey ?? newRootKey();
  const rootKeyDigest = secrets.digest(rootKey);
  const known = await settle(database, ROOT_KEY_SETTING, rootKeyDigest);
  if (config.rootKey && known !== rootKeyDigest) {
    throw new ConfigError('ROOT_KEY is not the root key of this database. Set the right one, or replace it with the command `root-key`.');
  }
  return { ...secrets, newRootKey: config.rootKey === undefined && known === rootKeyDigest ? rootKey : undefined };
}

/** The same secrets without the root key. It neither reads nor creates a root key: a command has no place to show a new one. */
export async function openSecrets(config: Config, database: Database): Promise<Omit<Installation, 'newRootKey'>> {
  const pepper = config.keyPepper ?? pepperBeside(config);
  const digest = hmacSha256(pepper);
  const fingerprint = digest('tollgate pepper fingerprint');
  if ((await settle(database, PEPPER_SETTING, fingerprint)) !== fingerprint) {
    throw new ConfigError(
      'KEY_PEPPER is not the pepper of this database, so every key would be refused. Set the pepper that the database was started with.',
    );
  }
  return {
    pepper,
    digest,
    signingSecrets: config.upstreamSigningSecrets.length > 0 ? config.upstreamSigningSecrets : [signingSecretFrom(pepper)],
  };
}

/** The current digest of the root key, read from the database each time, so that a new root key works at once on every node. */
export async function rootKeyDigest(database: Database): Promise<string | null> {
  return (await database.reader.findOneBy(Setting, { name: ROOT_KEY_SETTING }))?.value ?? null;
}

export const newRootKey = (): string => `root_${randomBase62(43)}`;

/** Replaces the root key on every node. The previous root key stops working at once. */
export async function replaceRootKey(database: Database, digest: Installation['digest'], rootKey: string): Promise<void> {
  const value = digest(rootKey);
  await database.transaction(async (tx) => {
    const known = await tx.findOne(Setting, { where: { name: ROOT_KEY_SETTING }, ...forUpdate(tx) });
    if (known?.value === value) return;
    if (known) await tx.update(Setting, { name: ROOT_KEY_SETTING }, { value });
    else await tx.insert(Setting, { name: ROOT_KEY_SETTING, value }); // the database was never started
    const subject = { id: OPERATOR.id, workspaceId: null };
    await recordEvent(tx, { ...systemAuthority('installation'), action: 'root-key.replaced', subject, at: await database.now(tx) });
  });
}

/** The secret that signs calls to upstreams, derived from the pepper (HKDF-SHA256, RFC 5869). */
export function signingSecretFrom(pepper: string): string {
  return `whsec_${Buffer.from(hkdfSync('sha256', pepper, '', 'tollgate upstream signing secret', 32)).toString('base64')}`;
}

/** Stores `value` under `name` if nothing is stored there. Returns the stored value. If processes start together, the first one wins. */
async function settle(database: Database, name: string, value: string): Promise<string> {
  const known = await database.reader.findOneBy(Setting, { name });
  if (known) return known.value;
  try {
    await database.transaction((tx) => tx.insert(Setting, { name, value }));
    return value;
  } catch (error) {
    if (!isDuplicate(error)) throw error;
    return settle(database, name, value);
  }
}

/** The pepper from the file beside an SQLite database. Creates the file if needed, by a link, so that a kill cannot leave half a file. */
function pepperBeside({ database }: Config): string {
  if (database.type !== 'sqlite') throw new ConfigError('KEY_PEPPER must be set.');
  const path = `${database.path}.pepper`;
  const draft = `${path}.${process.pid}`;
  try {
    return pepperIn(path, readFileSync(path, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  writeFileSync(draft, `${randomBase62(43)}\n`, { mode: 0o600, flush: true });
  try {
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // another process created it first
  } finally {
    unlinkSync(draft);
  }
  return pepperIn(path, readFileSync(path, 'utf8'));
}
