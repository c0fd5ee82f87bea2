import { Field, ID, ObjectType, registerEnumType } from 'type-graphql';
import { MaxItems, Node } from '../lib/graphql-types';
import { ADMINISTRATIVE_PERMISSIONS, MAX_GRANTED_PERMISSIONS, allows } from './permissions';
import type { Principal } from './principal';

enum ActorKind {
  OPERATOR = 'OPERATOR',
  USER = 'USER',
  API_KEY = 'API_KEY',
  SERVICE_ACCOUNT = 'SERVICE_ACCOUNT',
  OAUTH_CLIENT = 'OAUTH_CLIENT',
  SYSTEM = 'SYSTEM',
}
registerEnumType(ActorKind, {
  name: 'ActorKind',
  description: 'The kind of a caller or actor.',
  valuesConfig: {
    OPERATOR: { description: 'The holder of the root key.' },
    USER: { description: 'A person.' },
    API_KEY: { description: 'A key.' },
    SERVICE_ACCOUNT: { description: 'A service account.' },
    OAUTH_CLIENT: { description: 'An application that acts for a person, with their consent.' },
    SYSTEM: { description: 'Tollgate itself.' },
  },
});

@ObjectType({ implements: Node, description: 'The caller.' })
export class Viewer implements Node {
  @Field(() => ActorKind, { description: 'The kind of the caller.' })
  kind: ActorKind;

  @Field(() => ID, {
    description:
      'Begins with `viewer_`. It is not the id of a person, a key or an account, so that clients store the caller and that object apart.',
  })
  id: string;

  @Field(() => ID, {
    description:
      'The id of the person, the key or the service account; the id of the consent for an application; `operator` for the operator. ' +
      'Events have it as `AuditEvent.actorId`.',
  })
  actorId: string;

  @Field({ description: 'Its name for people.' })
  name: string;

  @MaxItems(MAX_GRANTED_PERMISSIONS + ADMINISTRATIVE_PERMISSIONS.length)
  @Field(() => [String], { description: 'The permissions that the caller has in every workspace that it can use; `*` for the operator.' })
  permissions: string[];
}

/** The caller as a Viewer object. */
export const viewerOf = (caller: Principal): Viewer =>
  Object.assign(new Viewer(), {
    kind: ActorKind[caller.kind],
    id: `viewer_${caller.id}`,
    actorId: caller.id,
    name: caller.name,
    permissions: permissionsEverywhere(caller),
  });

/** The permissions that a caller has in every one of its workspaces. */
function permissionsEverywhere(caller: Principal): string[] {
  if (caller.kind === 'OPERATOR') return ['*'];
  if (caller.kind !== 'USER') return [...caller.permissions];
  const held = [...caller.permissionsByWorkspace.values()];
  return ADMINISTRATIVE_PERMISSIONS.map(({ name }) => name).filter(
    (name) => held.length > 0 && held.every((permissions) => allows(permissions, name)),
  );
}
