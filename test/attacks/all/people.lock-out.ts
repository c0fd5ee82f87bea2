import { setTimeout as wait } from 'node:timers/promises';
import type { Attack } from '../attack';
import { Browser } from '../browser';
import type { Client, Target } from '../target';

const OWNER = 'owner@example.com';
const PASSWORD = 'correct horse battery staple';
const NEW_PASSWORD = 'another staple of the battery';
const STRANGERS = 5;
/** More tries than one account allows at once. */
const GUESSES_EACH = 4;
const PAUSE_MS = 100;

const SIGN_IN = 'mutation ($input: SignInInput!) { signIn(input: $input) { viewer { id } } }';

export const lockOut: Attack = {
  name: 'people.lock-out',
  what: `strangers at ${STRANGERS} addresses guess a password; its owner signs in from a known browser, and again after a reset`,
  lastsMs: 8_000,
  run: async (target) => {
    const browser = new Browser(target);
    await becomeOwner(target, browser);
    await browser.mutate('mutation { signOut { session { id } } }');
    const strangers = Array.from({ length: STRANGERS }, (_, number) => target.client(`127.0.1.${number + 1}`));
    const broken: string[] = [];
    await guess(strangers);
    broken.push(...(await signIn(browser, PASSWORD, 'from a browser that the owner has signed in with before')));
    const resetBrowser = new Browser(target);
    await resetBrowser.mutate('mutation ($input: RequestPasswordResetInput!) { requestPasswordReset(input: $input) { accepted } }', {
      email: OWNER,
    });
    const token = new URL(await target.smtp.linkTo(OWNER)).searchParams.get('token');
    await guess(strangers);
    await resetBrowser.mutate('mutation ($input: ResetPasswordInput!) { resetPassword(input: $input) { changed } }', {
      token,
      newPassword: NEW_PASSWORD,
    });
    await guess(strangers);
    broken.push(...(await signIn(resetBrowser, NEW_PASSWORD, 'after a reset, in the browser of the reset')));
    return broken;
  },
};

async function becomeOwner({ attacker: { workspaceId }, rootKey, smtp }: Target, browser: Browser): Promise<void> {
  const invite = 'mutation ($input: InviteMemberInput!) { inviteMember(input: $input) { invitation { id } } }';
  await browser.mutate(invite, { workspaceId, email: OWNER, roleId: 'rol_owner' }, { 'x-api-key': rootKey });
  const token = new URL(await smtp.linkTo(OWNER)).searchParams.get('token');
  const accept = 'mutation ($input: AcceptInvitationInput!) { acceptInvitation(input: $input) { viewer { id } } }';
  await browser.mutate(accept, { token, name: 'Olive', password: PASSWORD });
}

async function guess(strangers: Client[]): Promise<void> {
  for (let number = 0; number < GUESSES_EACH; number += 1) {
    await Promise.all(
      strangers.map((client) => client.graphql(SIGN_IN, { input: { email: OWNER, password: `guess number ${number} of many` } }, {})),
    );
    await wait(PAUSE_MS);
  }
}

async function signIn(browser: Browser, password: string, when: string): Promise<string[]> {
  const { status, code } = await browser.send(SIGN_IN, { email: OWNER, password });
  return code === undefined && status === 200 ? [] : [`the owner was refused ${when}: ${status} ${code ?? ''}`];
}
