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
  /** What is stored of a secret: HMAC-SHA256 with the pepper, base64url, 43 characters. Looked up, so never compared byte by byte. */
  digest(text: string): string;
  /** `whsec_` secrets that sign calls to upstreams. */
  signingSecrets: readonly string[];
  /** The root key, where this start made it: to be shown once, for it is stored nowhere. */
  newRootKey: string | undefined;
}

/**
 * The secrets that this process is to work with, checked against what the database remembers of them. A ConfigError, in one sentence,
 * where they are not the ones that this database was started with.
 */
export async function openInstallation(config: Config, database: Database): Promise<Installation> {
  const secrets = await openSecrets(config, database);
  const rootKey = config.rootKey ?? newRootKey();
  const rootKeyDigest = secrets.digest(rootKey);
  const known = await settle(database, ROOT_KEY_SETTING, rootKeyDigest);
  if (config.rootKey && known !== rootKeyDigest) {
    throw new ConfigError('ROOT_KEY is not the one that this database knows; set that one, or make this one count with the command `root-key`.');
  }
  return { ...secrets, newRootKey: config.rootKey === undefined && known === rootKeyDigest ? rootKey : undefined };
}

/** The same without the root key, which is neither made nor asked for: a command that made one would leave nobody to show it to. */
export async function openSecrets(config: Config, database: Database): Promise<Omit<Installation, 'newRootKey'>> {
  const pepper = config.keyPepper ?? pepperBeside(config);
  const digest = hmacSha256(pepper);
  const fingerprint = digest('tollgate pepper fingerprint');
  if ((await settle(database, PEPPER_SETTING, fingerprint)) !== fingerprint) {
    throw new ConfigError('KEY_PEPPER is not the one that this database was started with; every key would be refused, so set that one again.');
  }
  return { pepper, digest, signingSecrets: config.upstreamSigningSecrets.length > 0 ? config.upstreamSigningSecrets : [signingSecretFrom(pepper)] };
}

/** The digest of the root key as it stands in the database now, so that a new one counts at once on every node. */
export async function rootKeyDigest(database: Database): Promise<string | null> {
  return (await database.reader.findOneBy(Setting, { name: ROOT_KEY_SETTING }))?.value ?? null;
}

export const newRootKey = (): string => `root_${randomBase62(43)}`;

/** Makes `rootKey` the root key from now on, on every node; the one before ends. */
export async function replaceRootKey(database: Database, digest: Installation['digest'], rootKey: string): Promise<void> {
  const value = digest(rootKey);
  await database.transaction(async (tx) => {
    const known = await tx.findOne(Setting, { where: { name: ROOT_KEY_SETTING }, ...forUpdate(tx) });
    if (known?.value === value) return;
    if (known) await tx.update(Setting, { name: ROOT_KEY_SETTING }, { value });
    else await tx.insert(Setting, { name: ROOT_KEY_SETTING, value }); // before the first start
    const subject = { id: OPERATOR.id, workspaceId: null };
    await recordEvent(tx, { ...systemAuthority('installation'), action: 'root-key.replaced', subject, at: await database.now(tx) });
  });
}

/** The secret for upstreams that follows from the pepper (HKDF-SHA256, RFC 5869). */
export function signingSecretFrom(pepper: string): string {
  return `whsec_${Buffer.from(hkdfSync('sha256', pepper, '', 'tollgate upstream signing secret', 32)).toString('base64')}`;
}

/** What stands under `name`, after putting `value` there where nothing stood. Of processes that start together one wins. */
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

/** The pepper in the file beside an embedded database, made where there is none. Linked into place whole, so a kill leaves no half of one. */
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
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // another process was first
  } finally {
    unlinkSync(draft);
  }
  return pepperIn(path, readFileSync(path, 'utf8'));
}
