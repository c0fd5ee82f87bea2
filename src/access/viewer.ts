import { Field, ID, ObjectType, registerEnumType } from 'type-graphql';
import { MaxItems } from '../lib/graphql-types';
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
  description: 'What kind of principal acts.',
  valuesConfig: {
    OPERATOR: { description: 'The holder of the root key.' },
    USER: { description: 'A person.' },
    API_KEY: { description: 'A key.' },
    SERVICE_ACCOUNT: { description: 'A service account.' },
    OAUTH_CLIENT: { description: 'An application that a person has let in.' },
    SYSTEM: { description: 'Tollgate itself.' },
  },
});

@ObjectType({ description: 'The caller.' })
export class Viewer {
  @Field(() => ActorKind, { description: 'What kind of principal it is.' })
  kind: ActorKind;

  @Field(() => ID, { description: 'Its id; `operator` for the operator.' })
  id: string;

  @Field({ description: 'What people call it.' })
  name: string;

  @MaxItems(MAX_GRANTED_PERMISSIONS + ADMINISTRATIVE_PERMISSIONS.length)
  @Field(() => [String], { description: 'What it may do wherever it may act at all; `*` for the operator.' })
  permissions: string[];
}

/** The caller as it may see itself. */
export const viewerOf = (caller: Principal): Viewer => ({ kind: ActorKind[caller.kind], id: caller.id, name: caller.name, permissions: permissionsEverywhere(caller) });

/** What a caller may do in every workspace that it knows of. */
function permissionsEverywhere(caller: Principal): string[] {
  if (caller.kind === 'OPERATOR') return ['*'];
  if (caller.kind !== 'USER') return [...caller.permissions];
  const held = [...caller.permissionsByWorkspace.values()];
  return ADMINISTRATIVE_PERMISSIONS.map(({ name }) => name).filter((name) => held.length > 0 && held.every((permissions) => allows(permissions, name)));
}
