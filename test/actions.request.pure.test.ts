import { Webhook } from 'standardwebhooks';
import { ActionRunner } from '../src/actions/runner';
import { ODD_JSON, OK, json, startRawUpstream, type Received } from './support/raw-upstream';
import { SIGNING_SECRETS, callOf, useRunner } from './support/runner';

const { run } = useRunner();

describe('what an upstream receives', () => {
  it('is a POST of the complete call as JSON to the exact URL', async () => {
    const upstream = await startRawUpstream(json(200, OK));
    await run(upstream.url);
    const { action, requestId, paramsJson, debug, context } = callOf();
    expect(upstream.received).toHaveLength(1);
    expect(upstream.received[0]).toMatchObject({
      method: 'POST',
      url: '/actions?of=faces',
      headers: { 'content-type': 'application/json', 'accept-encoding': 'identity' },
      body: JSON.stringify({ action, requestId, params: JSON.parse(paramsJson) as object, debug, context }),
    });
  });

  it('has a signature that each signing secret verifies and no other secret verifies', async () => {
    const upstream = await startRawUpstream(json(200, OK));
    await run(upstream.url);
    const { headers, body } = upstream.received[0] as Received;
    for (const secret of SIGNING_SECRETS) expect(() => new Webhook(secret).verify(body, headers as Record<string, string>)).not.toThrow();
    const stranger = new Webhook(`whsec_${Buffer.alloc(24, 3).toString('base64')}`);
    expect(() => stranger.verify(body, headers as Record<string, string>)).toThrow('No matching signature');
    expect(headers['webhook-signature']).toMatch(/^v1,\S+ v1,\S+$/);
  });

  it('has the attempt as webhook-id and the time in whole seconds as webhook-timestamp', async () => {
    const upstream = await startRawUpstream(json(200, OK));
    const dated = new ActionRunner({ signingSecrets: SIGNING_SECRETS, now: () => new Date('2026-01-02T03:04:05.999Z') });
    await dated.run({ service: 'face', name: 'biofrq.detect', upstreamUrl: upstream.url, timeoutMs: 10_000, passStatuses: [] }, callOf());
    await dated.close();
    expect(upstream.received[0]?.headers).toMatchObject({
      'webhook-id': 'log_0VKq3Zb1M8fD2sYt6Hc0Qw',
      'webhook-timestamp': String(Date.parse('2026-01-02T03:04:05Z') / 1000),
    });
  });

  it('is always signed: the constructor refuses an empty list of secrets', () => {
    expect(() => new ActionRunner({ signingSecrets: [] })).toThrow('secret');
  });

  it('has the text of the params unchanged, and the signature is of that text', async () => {
    const upstream = await startRawUpstream(json(200, OK));
    await run(upstream.url, 10_000, callOf(ODD_JSON));
    const { headers, body } = upstream.received[0] as Received;
    expect(body).toContain(`"params":${ODD_JSON},"debug"`);
    expect(() => new Webhook(SIGNING_SECRETS[0] as string).verify(body, headers as Record<string, string>)).not.toThrow();
  });
});
