import type { FastifyInstance, FastifyRequest } from 'fastify';
import { requirePermission } from '../access/policies';
import { notFound, validate } from '../errors';
import { VERIFY_PERMISSION } from '../gate/checks';
import type { Gate } from '../gate/gate';
import type { Billing } from '../gate/items';
import type { HoldRequest, SettleRequest } from '../gate/verified-holds';
import { idRule } from '../lib/rules';
import { fingerprintOf, prepareAsking, type AskingDeps } from './asking';
import { NO_BODY, parseJson } from './json-request';
import { holdBody, sendJson } from './verify.route';
import { extendBody, settleBody, voidBody } from './verify.schema';

interface HoldRoute {
  Params: { id: string };
  Body: Buffer | undefined;
}

type AnyHoldRequest = FastifyRequest<HoldRoute>;

/** Registers the routes that settle, void and extend the hold of a verification. */
export function registerHolds(rest: FastifyInstance, { gate, ...asking }: AskingDeps & { gate: Gate }): void {
  prepareAsking(rest, asking);

  /** The hold of a request, with the workspace that the asker administers. Reads the asker anew. */
  const holdOf = async (request: AnyHoldRequest): Promise<HoldRequest> => {
    const principal = await asking.authenticator.bySecret(request.secret, request.address);
    const workspaceId = principal.kind === 'OPERATOR' ? null : principal.workspaceId;
    if (workspaceId !== null) requirePermission(principal, VERIFY_PERMISSION, workspaceId);
    const { id } = request.params;
    return idRule.safeParse(id).success ? { id, workspaceId } : notFound();
  };
  const settle = async (request: AnyHoldRequest, end: SettleRequest['end'], present: (billing: Billing) => string): Promise<string> => {
    const { id, workspaceId } = await holdOf(request);
    return gate.verifiedHolds.settle({ id, workspaceId, end, fingerprint: fingerprintOf(end), present });
  };

  rest.post<HoldRoute>('/v1/holds/:id/settle', async (request, reply) => {
    const { usage = null, amountMicroCredits } = validate(settleBody, bodyOf(request));
    const end = { kind: 'settle', usage, costMicroCredits: amountMicroCredits } as const;
    return sendJson(reply, await settle(request, end, (billing) => JSON.stringify({ outcome: 'SUCCEEDED', billing })));
  });

  rest.post<HoldRoute>('/v1/holds/:id/void', async (request, reply) => {
    const { errorCode } = validate(voidBody, bodyOf(request));
    return sendJson(reply, await settle(request, { kind: 'void', errorCode }, () => JSON.stringify({ outcome: 'FAILED' })));
  });

  rest.post<HoldRoute>('/v1/holds/:id/extend', async (request, reply) => {
    const { seconds } = validate(extendBody, bodyOf(request));
    const hold = await gate.verifiedHolds.extend(await holdOf(request), seconds);
    return sendJson(reply, JSON.stringify({ hold: holdBody(hold) }));
  });
}

const bodyOf = ({ body }: AnyHoldRequest): unknown => parseJson(body ?? NO_BODY).value;
