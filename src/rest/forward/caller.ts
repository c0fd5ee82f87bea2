import type { IncomingMessage } from 'node:http';
import { NAMES_ITS_PROJECT, kindOfSecret, type CredentialKind } from '../../access/secret';
import { TollgateError, validate } from '../../errors';
import { PROJECT_HEADER } from '../../gate/checks';
import { idRule, subjectRule } from '../../lib/rules';
import { headerOf } from '../json-request';
import { routeCredential, type RouteCredential } from './credential';

/** The part of a request to a route that the gate needs, read from its headers. */
export interface Caller {
  credential: RouteCredential;
  credentialKind: CredentialKind;
  namedProjectId: string | null;
  statedProjectId: string | null;
  subject: string | undefined;
}

/** Reads the caller of a request. Throws the error of a header that is missing or not valid. Counts a secret that cannot be one. */
export function readCaller(incoming: IncomingMessage, countUnknown: () => void): Caller {
  const credential = routeCredential(incoming.rawHeaders);
  if (!credential) throw new TollgateError('MISSING_API_KEY', undefined, { header: 'Authorization' });
  const credentialKind = kindOfSecret(credential.secret);
  if (!credentialKind) {
    countUnknown();
    throw new TollgateError('INVALID_API_KEY');
  }
  const project = headerOf(incoming, PROJECT_HEADER.toLowerCase());
  const statedProjectId = project === undefined ? null : validate(idRule, project, PROJECT_HEADER);
  const namedProjectId = NAMES_ITS_PROJECT.has(credentialKind) ? statedProjectId : null;
  const subject = headerOf(incoming, 'tollgate-subject') || undefined;
  if (subject !== undefined) validate(subjectRule, subject, 'Tollgate-Subject');
  return { credential, credentialKind, statedProjectId, namedProjectId, subject };
}
