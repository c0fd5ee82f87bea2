import { AuditEvent } from '../src/audit/event.entity';
import { RefusalCount } from '../src/gate/gate.entities';
import { RequestLog } from '../src/requests/request-log.entity';
import { createTestApp, type TestApp } from './support/app';
import { buildKey } from './support/factories';

it('counts unknown secrets per minute, at REST and GraphQL, without a request log or an audit event', async () => {
  const app: TestApp = await createTestApp();
  const { secret } = await buildKey(app);
  const events = await app.database.reader.count(AuditEvent);
  const wellFormed = (await buildSecretOfAnother()).secret;
  for (let times = 0; times < 5; times += 1) {
    expect((await app.rest({ secret: 'garbage' })).status).toBe(401);
    expect((await app.rest({ secret: wellFormed })).status).toBe(401);
    expect((await app.graphql('{ viewer { id } }', {}, 'garbage')).status).toBe(401);
    expect((await app.graphql('{ viewer { id } }', {}, wellFormed)).status).toBe(401);
    expect((await app.rest({})).status).toBe(401); // a call without a secret is not counted
  }
  expect((await app.rest({ secret })).status).toBe(200);
  await app.gate.close();
  const counts = await app.database.reader.find(RefusalCount);
  expect(counts.length).toBeLessThanOrEqual(2); // the calls may fall into two minutes
  expect(counts.every(({ credentialId, code }) => credentialId === 'unknown' && code === 'INVALID_API_KEY')).toBe(true);
  expect(counts.reduce((sum, { calls }) => sum + calls, 0)).toBe(20);
  expect(await app.database.reader.count(RequestLog)).toBe(1);
  expect(await app.database.reader.count(AuditEvent)).toBe(events);
  await app.close();
});

/** Returns a well-formed secret of another installation. */
async function buildSecretOfAnother(): Promise<{ secret: string }> {
  const another = await createTestApp();
  try {
    return await buildKey(another);
  } finally {
    await another.close();
  }
}
