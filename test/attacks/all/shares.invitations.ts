import type { Attack } from '../attack';

const INVITED = 'invited@example.com';
const FAILING = 10;
const INVITE = 'mutation ($input: InviteMemberInput!) { inviteMember(input: $input) { invitation { id } } }';

export const sharedInvitations: Attack = {
  name: 'shares.invitations',
  what: `${FAILING} invitations of one tenant that fail, then one of another tenant to the same address`,
  lastsMs: 5_000,
  run: async (target) => {
    const client = target.client();
    const { attacker, neighbour } = target;
    const invite = (roleId: string, { workspaceId, ownerSecret }: typeof attacker) =>
      client.graphql(INVITE, { input: { workspaceId, email: INVITED, roleId } }, { 'x-api-key': ownerSecret });
    for (let number = 0; number < FAILING; number += 1) await invite('rol_neverWasHere', attacker);
    const { status, code } = await invite('rol_viewer', neighbour);
    return status === 200 && code === undefined ? [] : [`an invitation of another tenant was answered ${status} ${code ?? ''}`];
  },
};
