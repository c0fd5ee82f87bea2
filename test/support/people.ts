import { randomBytes } from 'node:crypto';
import { Person } from '../../src/access/people/person.entity';
import type { Workspace } from '../../src/tenancy/workspace.entity';
import type { TestApp } from './app';
import { ORIGIN, buildWorkspace } from './factories';

export const PASSWORD = 'correct horse battery staple';

export interface PersonValues {
  /** That they are a member of. */
  workspace?: Workspace;
  /** What they are there; an owner where absent. */
  roleId?: string;
  email?: string;
  password?: string;
}

export interface BuiltPerson {
  person: Person;
  /** What their browser sends: a credential for the clients. */
  cookie: { cookie: string };
  password: string;
  workspace: Workspace;
}

/** A person who was invited, has accepted and is signed in. */
export async function buildPerson(app: Pick<TestApp, 'services' | 'people' | 'database'>, values: PersonValues = {}): Promise<BuiltPerson> {
  const workspace = values.workspace ?? (await buildWorkspace(app));
  const { email = `${randomBytes(6).toString('hex')}@example.com`, password = PASSWORD, roleId = 'rol_owner' } = values;
  const { link } = await app.people.invitations.invite({ ...ORIGIN, actor: { kind: 'SYSTEM', id: 'tests' } }, { workspaceId: workspace.id, email, roleId });
  const token = tokenOf(link ?? '');
  const { personId, session } = await app.people.invitations.accept(undefined, { token, name: 'Ada', password }, { ip: null, userAgent: null });
  const person = await app.database.reader.findOneByOrFail(Person, { id: personId });
  return { person, cookie: { cookie: `tollgate_session=${session?.token}` }, password, workspace };
}

/** The token that a link holds. */
export const tokenOf = (link: string): string => new URL(link).searchParams.get('token') ?? '';
