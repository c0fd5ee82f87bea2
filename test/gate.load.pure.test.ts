import { CallPlaces } from '../src/gate/load/call-places';
import { BytesInFlight, KeptBytes } from '../src/gate/load/kept-bytes';

// What the tenants of a process may have at once. Each workspace here has as many projects as it likes.

const project = (workspace: number, number: number) => ({ id: `prj_${workspace}_${number}`, group: `ws_${workspace}` });

it('a few workspaces cannot hold all places: a workspace without a call in flight finds one', () => {
  const places = new CallPlaces({ maxCalls: 1_000 });
  const kept = () => new KeptBytes(new BytesInFlight({ maxBytes: 1, maxBytesEach: 1 }));
  const takes = (workspace: number, number: number): boolean => {
    const call = { kept: kept(), placeInProject: null };
    if (places.enter() && places.reserve(call, project(workspace, number))) return true;
    places.leave(call);
    return false;
  };
  const held = [0, 1, 2].map((workspace) => Array.from({ length: 1_000 }, (_, at) => takes(workspace, at)).filter(Boolean).length);
  expect(held).toEqual([750, 218, 28]); // three quarters; then seven eighths of what the others leave
  expect(takes(3, 0)).toBe(true);
});

it('a few workspaces cannot fill the memory: a workspace without a body in memory has room for one', () => {
  const inFlight = new BytesInFlight({ maxBytes: 100_000_000, maxBytesEach: 25_000_000 });
  const fills = (workspace: number, number: number, bytes: number) => new KeptBytes(inFlight).keep(bytes, project(workspace, number));
  for (const workspace of [0, 1]) for (let number = 0; number < 100; number += 1) fills(workspace, number, 1_000_000);
  expect(fills(0, 100, 1_000_000)).toBe(false);
  expect(fills(1, 100, 1_000_000)).toBe(false);
  expect(fills(2, 0, 3_000_000)).toBe(true);
});
