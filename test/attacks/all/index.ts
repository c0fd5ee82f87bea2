import type { Attack } from '../attack';
import { announcedBodies } from './memory.announced-bodies';
import { graphqlBodies } from './memory.graphql-bodies';
import { slowBodies } from './memory.slow-bodies';
import { circularFragments } from './graphql.fragments';
import { documentsAtTheLimits } from './graphql.limits';
import { nestedLists } from './graphql.nested';
import { lockOut } from './people.lock-out';
import { sharedInvitations } from './shares.invitations';
import { sharedUpstream } from './shares.upstream';
import { pipelines } from './sockets.pipelines';
import { upgrades } from './sockets.upgrades';

/** Every attack, in the order in which they are made. */
export const ATTACKS: Attack[] = [
  nestedLists,
  documentsAtTheLimits,
  circularFragments,
  upgrades,
  pipelines,
  graphqlBodies,
  announcedBodies,
  slowBodies,
  lockOut,
  sharedInvitations,
  sharedUpstream,
];
