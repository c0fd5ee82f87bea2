import { crc32 } from 'node:zlib';
import { randomBase62, toBase62 } from '../lib/id';

/** The kind of a credential. Request logs store it in a column of 16 characters. */
export type CredentialKind = 'API_KEY' | 'SERVICE_ACCOUNT' | 'OAUTH_CLIENT';

/** Kinds that may work in several projects, so that each call must name its project. The other kinds belong to one project. */
export const NAMES_ITS_PROJECT: ReadonlySet<CredentialKind> = new Set<CredentialKind>(['SERVICE_ACCOUNT']);

/**
 * The kind of a credential by the second part of its secret, such as `live` in `acme_live_...`. So the table of its digest is known without
 * a query.
 */
const KIND_OF_FORM = {
  live: 'API_KEY',
  test: 'API_KEY',
  svc: 'SERVICE_ACCOUNT',
  svctoken: 'SERVICE_ACCOUNT',
  access: 'OAUTH_CLIENT',
} as const satisfies Record<string, CredentialKind>;

/** Forms of secrets that work only at the endpoints of OAuth. */
type OAuthForm = 'CODE' | 'REFRESH' | 'CLIENT';

type Form = keyof typeof KIND_OF_FORM;

export type SecretForm = Uppercase<Form> | OAuthForm;

const RANDOM_LENGTH = 32; // 190 bits
const CHECKSUM_LENGTH = 6;
const SECRET = new RegExp(`^[a-z][a-z0-9]{1,11}_(${Object.keys(KIND_OF_FORM).join('|')})_[0-9A-Za-z]{38}$`);

/** Version of the pepper for new digests. Stored with each digest, so that a later version can change the pepper. */
export const PEPPER_VERSION = 1;

/** A new secret: prefix and form, such as `acme_live_`, then 32 random characters, then 6 characters of CRC-32 of everything before. */
export function mintSecret(prefix: string, form: SecretForm): string {
  const body = `${prefix}_${form.toLowerCase()}_${randomBase62(RANDOM_LENGTH)}`;
  return body + checksum(body);
}

/** The kind of a secret with the right form and checksum, or undefined for any other text. Needs no database. */
export function kindOfSecret(text: string): CredentialKind | undefined {
  const form = SECRET.exec(text)?.[1] as Form | undefined;
  return form !== undefined && checksum(text.slice(0, -CHECKSUM_LENGTH)) === text.slice(-CHECKSUM_LENGTH) ? KIND_OF_FORM[form] : undefined;
}

/** The visible part of a secret, by which people recognise it: `acme_live_...x7Qp`. */
export function hintOf(secret: string): string {
  return `${secret.slice(0, secret.lastIndexOf('_') + 1)}...${secret.slice(-4)}`;
}

function checksum(text: string): string {
  return toBase62(crc32(text), CHECKSUM_LENGTH);
}
