import { crc32 } from 'node:zlib';
import { randomBase62, toBase62 } from '../lib/id';

/** What a secret is of. Request logs name the kind too, in a column of 16 characters. */
export type CredentialKind = 'API_KEY' | 'SERVICE_ACCOUNT' | 'OAUTH_CLIENT';

/** Kinds that may work in several projects, so that a call names the one that it is for; the others are bound to one, and name none. */
export const NAMES_ITS_PROJECT: ReadonlySet<CredentialKind> = new Set<CredentialKind>(['SERVICE_ACCOUNT']);

/** The second part of a secret, and what it tells: which table has its digest is known before anything is asked. */
const KIND_OF_FORM = { live: 'API_KEY', test: 'API_KEY', svc: 'SERVICE_ACCOUNT', svctoken: 'SERVICE_ACCOUNT', access: 'OAUTH_CLIENT' } as const satisfies Record<string, CredentialKind>;

/** Forms of what opens nothing but OAuth's own endpoints. */
type OAuthForm = 'CODE' | 'REFRESH' | 'CLIENT';

type Form = keyof typeof KIND_OF_FORM;

const RANDOM_LENGTH = 32; // 190 bits
const CHECKSUM_LENGTH = 6;
const SECRET = new RegExp(`^[a-z][a-z0-9]{1,11}_(${Object.keys(KIND_OF_FORM).join('|')})_[0-9A-Za-z]{38}$`);

/** The pepper that digests are made with now; kept beside each digest, so that it can be changed one day. */
export const PEPPER_VERSION = 1;

/** A new secret: `acme_live_`, 32 random characters, and 6 that are the CRC-32 of all before them. */
export function mintSecret(prefix: string, form: Uppercase<Form> | OAuthForm): string {
  const body = `${prefix}_${form.toLowerCase()}_${randomBase62(RANDOM_LENGTH)}`;
  return body + checksum(body);
}

/** What a text with the form and the checksum of a secret is a secret of; undefined for others. Asks nobody: noise is told apart offline. */
export function kindOfSecret(text: string): CredentialKind | undefined {
  const form = SECRET.exec(text)?.[1] as Form | undefined;
  return form !== undefined && checksum(text.slice(0, -CHECKSUM_LENGTH)) === text.slice(-CHECKSUM_LENGTH) ? KIND_OF_FORM[form] : undefined;
}

/** Enough to recognise a secret by: `acme_live_...x7Qp`. */
export function hintOf(secret: string): string {
  return `${secret.slice(0, secret.lastIndexOf('_') + 1)}...${secret.slice(-4)}`;
}

function checksum(text: string): string {
  return toBase62(crc32(text), CHECKSUM_LENGTH);
}
