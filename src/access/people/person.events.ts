import type { IncomingHttpHeaders } from 'node:http';
import type { EntityManager } from 'typeorm';
import { recordEvent, type Origin } from '../../audit/record-event';
import { Membership } from './membership.entity';

/** Where a request came from, whoever sent it. */
export type Whence = Pick<Origin, 'ip' | 'userAgent'>;

const MAX_USER_AGENT_LENGTH = 255;

/** What a client calls itself, as far as it is kept. */
export const userAgentOf = (headers: IncomingHttpHeaders): string | null => headers['user-agent']?.slice(0, MAX_USER_AGENT_LENGTH) ?? null;

/** The same, of a request. */
export const whenceOf = ({ address, headers }: { address: string | null; headers: IncomingHttpHeaders }): Whence => ({
  ip: address,
  userAgent: userAgentOf(headers),
});

/** Who acts where nobody has proved yet who they are. */
export const NOBODY_YET = { kind: 'SYSTEM', id: 'sign-in' };

export const actorOf = (personId: string): Origin['actor'] => ({ kind: 'USER', id: personId });

interface PersonEvent extends Origin {
  action: string;
  subjectId: string;
  /** The same in all of their workspaces, or for each its own: none learns of another. */
  after?: Record<string, unknown> | ((workspaceId: string | null) => Record<string, unknown>);
  at: Date;
}

/** Records what concerns a person in each workspace that they are a member of; with no workspace where there is none. */
export async function recordOfPerson(tx: EntityManager, personId: string, { subjectId, after, ...event }: PersonEvent): Promise<void> {
  const memberships = await tx.find(Membership, { where: { userId: personId }, order: { workspaceId: 'ASC' } });
  const workspaceIds = memberships.length > 0 ? memberships.map(({ workspaceId }) => workspaceId) : [null];
  for (const workspaceId of workspaceIds) {
    await recordEvent(tx, { ...event, subject: { id: subjectId, workspaceId }, after: typeof after === 'function' ? after(workspaceId) : (after ?? null) });
  }
}
