import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Principal } from '../../access/principal-tokens';
import type { Header } from '../../forwarding/headers';
import { splitTarget } from '../../routes/paths';
import type { ClientAddresses } from '../client-address';

/** The headers by which an upstream knows who makes a request. All are there in every request, so that a caller cannot set one. */
export function identityHeaders(principal: Principal, token: string): Header[] {
  return [
    ['Tollgate-Request-Id', principal.requestId],
    ['Tollgate-Workspace', principal.workspaceId],
    ['Tollgate-Project', principal.projectId],
    ['Tollgate-Credential', principal.credentialId],
    ['Tollgate-Environment', principal.environment],
    ['Tollgate-Subject', principal.subject],
    ['Tollgate-Principal', token],
  ];
}

/** The headers that tell an upstream where a request came from. What a trusted proxy says about it is passed on. */
export function forwardedHeaders(incoming: IncomingMessage, addresses: ClientAddresses): Header[] {
  const { headers, socket, url = '' } = incoming;
  const isTrusted = addresses.isTrusted(socket.remoteAddress ?? '');
  const said = (name: string): string | undefined => (isTrusted ? one(headers[name]) : undefined);
  const before = said('x-forwarded-for');
  const peer = socket.remoteAddress ?? '';
  return [
    ['X-Forwarded-For', before === undefined ? peer : `${before}, ${peer}`],
    ['X-Forwarded-Proto', said('x-forwarded-proto') ?? ((socket as TLSSocket).encrypted ? 'https' : 'http')],
    ['X-Forwarded-Host', said('x-forwarded-host') ?? splitTarget(url).host ?? headers.host ?? ''],
  ];
}

const one = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value.join(', ') : value);
