import type { IncomingHttpHeaders } from 'node:http';
import type { EntityManager } from 'typeorm';
import { recordEvent, type Origin } from '../../audit/record-event';
import { Membership } from './membership.entity';

/** Address and user agent of a request. */
export type Whence = Pick<Origin, 'ip' | 'userAgent'>;

const MAX_USER_AGENT_LENGTH = 255;

/** The User-Agent header, cut to the stored length. */
export const userAgentOf = (headers: IncomingHttpHeaders): string | null => headers['user-agent']?.slice(0, MAX_USER_AGENT_LENGTH) ?? null;

/** The address and user agent of a request. */
export const whenceOf = ({ address, headers }: { address: string | null; headers: IncomingHttpHeaders }): Whence => ({
  ip: address,
  userAgent: userAgentOf(headers),
});

/** The actor of events before a person is authenticated. */
export const NOBODY_YET = { kind: 'SYSTEM', id: 'sign-in' };

export const actorOf = (personId: string): Origin['actor'] => ({ kind: 'USER', id: personId });

interface PersonEvent extends Origin {
  action: string;
  subjectId: string;
  /**
   * One value for all workspaces of the person, or a function that returns the value for each workspace. So no workspace sees data of
   * another.
   */
  after?: Record<string, unknown> | ((workspaceId: string | null) => Record<string, unknown>);
  at: Date;
}

/** Records an event in each workspace of a person. Without a membership, records it once, without a workspace. */
export async function recordOfPerson(tx: EntityManager, personId: string, { subjectId, after, ...event }: PersonEvent): Promise<void> {
  const memberships = await tx.find(Membership, { where: { userId: personId }, order: { workspaceId: 'ASC' } });
  const workspaceIds = memberships.length > 0 ? memberships.map(({ workspaceId }) => workspaceId) : [null];
  for (const workspaceId of workspaceIds) {
    await recordEvent(tx, {
      ...event,
      subject: { id: subjectId, workspaceId },
      after: typeof after === 'function' ? after(workspaceId) : (after ?? null),
    });
  }
}
