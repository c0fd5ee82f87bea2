import { Places, ownerOf } from '../src/access/places';

describe('places', () => {
  it('are limited in total and for each owner, and are given back only once', () => {
    const limited = new Places({ most: 3, each: 2, what: 'things' });
    const giveBack = limited.take('one');
    limited.take('one');
    expect(() => limited.take('one')).toThrow('You have too many open things');
    limited.take('two');
    expect(() => limited.take('three')).toThrow('Too many things are open');
    giveBack();
    giveBack();
    limited.take('three');
    expect(() => limited.take('four')).toThrow('Too many things are open');
  });

  it('are counted together for all keys, service accounts and applications of a workspace, and separately for each person', () => {
    const made = { name: 'Made', workspaceId: 'ws_1', projectId: 'prj_1', permissions: [] };
    expect(ownerOf({ ...made, kind: 'API_KEY', id: 'key_1' })).toBe('ws_1');
    expect(ownerOf({ ...made, kind: 'SERVICE_ACCOUNT', id: 'svc_1', scopes: null })).toBe('ws_1');
    expect(ownerOf({ ...made, kind: 'OAUTH_CLIENT', id: 'con_1', userId: 'usr_1', tokenDigest: '' })).toBe('ws_1');
    expect(ownerOf({ kind: 'USER', id: 'usr_1', name: 'Ada', sessionId: 'ses_1', permissionsByWorkspace: new Map([['ws_1', []]]) })).toBe(
      'usr_1',
    );
    expect(ownerOf({ kind: 'OPERATOR', id: 'operator', name: 'Operator' })).toBe('operator');
  });

  it('leave half to other tenants if many people of one workspace take places', () => {
    const limited = new Places({ most: 4, each: 1, what: 'things' });
    const person = (id: string, ...workspaceIds: string[]) => ({
      kind: 'USER' as const,
      id,
      name: id,
      sessionId: id,
      permissionsByWorkspace: new Map(workspaceIds.map((workspaceId) => [workspaceId, []])),
    });
    limited.take(person('usr_1', 'ws_1'));
    const giveBack = limited.take(person('usr_2', 'ws_1'));
    expect(() => limited.take(person('usr_3', 'ws_1'))).toThrow('The people of your workspace have too many open things');
    limited.take(person('usr_4', 'ws_1', 'ws_2')); // counted for ws_2
    giveBack();
    limited.take(person('usr_5', 'ws_1'));
  });
});
