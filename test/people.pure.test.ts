import argon2 from '@node-rs/argon2';
import { isFromHere, trustedOrigins } from '../src/access/sessions/cookie';
import { PasswordHasher } from '../src/access/sessions/password-hasher';
import { Sealed } from '../src/access/sessions/sealed';
import { triesFrom } from '../src/access/sessions/throttle';
import { ConfigError, loadConfig } from '../src/config';

const PEPPER = 'pepper-of-the-tests-0123456789abcdefgh';

describe('hashes of passwords', () => {
  it('are computed a few at a time, and SERVICE_UNAVAILABLE if the queue is full', async () => {
    const passwords = new PasswordHasher(PEPPER);
    const made = await Promise.allSettled(
      Array.from({ length: 70 }, (_, index) => passwords.hash('correct horse battery staple', `usr_${index}`)),
    );
    expect(made.slice(0, 66).every(({ status }) => status === 'fulfilled')).toBe(true);
    expect(made.slice(66).map((result) => (result.status === 'rejected' ? (result.reason as { code: string }).code : 'made'))).toEqual(
      Array(4).fill('SERVICE_UNAVAILABLE'),
    );
    expect(
      await passwords.verify(await passwords.hash('correct horse battery staple', 'usr_1'), 'correct horse battery staple', 'usr_1'),
    ).toBe(true);
  });

  it('of one account wait eight at a time, so that endless tries leave room for other accounts', async () => {
    const passwords = new PasswordHasher(PEPPER);
    const greedy = Promise.allSettled(Array.from({ length: 70 }, () => passwords.hash('correct horse battery staple', 'usr_greedy')));
    await passwords.hash('correct horse battery staple', 'usr_other');
    expect((await greedy).filter(({ status }) => status === 'fulfilled')).toHaveLength(10); // two started at once, eight waited
  });

  it('of a known device are computed even if strangers from many addresses fill the queue', async () => {
    const passwords = new PasswordHasher(PEPPER);
    const strangers = Promise.allSettled(
      Array.from({ length: 80 }, (_, index) => passwords.verify(undefined, 'a guess', `address:${index}`, true)),
    );
    expect(await passwords.verify(undefined, 'not this one', 'device:1')).toBe(false);
    expect((await strangers).filter(({ status }) => status === 'fulfilled')).toHaveLength(65); // one was refused to make room
  });

  it('are Argon2id with the parameters of OWASP, and differ for the same password', async () => {
    const passwords = new PasswordHasher(PEPPER);
    const [first, second] = [
      await passwords.hash('correct horse battery staple', 'usr_1'),
      await passwords.hash('correct horse battery staple', 'usr_1'),
    ];
    expect(first).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(first).not.toBe(second);
  });

  it('cannot be checked without the pepper, not even with the right password', async () => {
    const password = 'correct horse battery staple';
    const stolen = await new PasswordHasher(PEPPER).hash(password, 'usr_1');
    expect(await argon2.verify(stolen, password)).toBe(false);
    expect(await new PasswordHasher('another-pepper-0123456789abcdefghijkl').verify(stolen, password, 'usr_1')).toBe(false);
    expect(await new PasswordHasher(PEPPER).verify(stolen, password, 'usr_1')).toBe(true);
  });

  it('match a password in every Unicode form, and no password matches a missing hash', async () => {
    const passwords = new PasswordHasher(PEPPER);
    const hash = await passwords.hash('caf\u00e9 caf\u00e9 caf\u00e9', 'usr_1');
    expect(await passwords.verify(hash, 'cafe\u0301 cafe\u0301 cafe\u0301', 'usr_1')).toBe(true);
    expect(await passwords.verify(undefined, '', 'usr_1')).toBe(false);
  });
});

describe('a sealed text', () => {
  const sealed = new Sealed(PEPPER, 'second factor');

  it('can be opened only with its owner, purpose and pepper, and differs each time', () => {
    const text = sealed.seal('a secret', 'usr_1');
    expect(sealed.open(text, 'usr_1')).toBe('a secret');
    expect(sealed.seal('a secret', 'usr_1')).not.toBe(text);
    expect(() => sealed.open(text, 'usr_2')).toThrow();
    expect(() => new Sealed('another-pepper-0123456789abcdefghijkl', 'second factor').open(text, 'usr_1')).toThrow();
    expect(() => new Sealed(PEPPER, 'oauth signing key').open(text, 'usr_1')).toThrow();
    expect(() => sealed.open(`${text.startsWith('A') ? 'B' : 'A'}${text.slice(1)}`, 'usr_1')).toThrow();
  });
});

it.each([
  ['1.2.3.4', 'address:1.2.3.4'],
  ['2001:db8:1:2:3:4:5:6', 'address:2001:db8:1:2::/64'],
  [null, 'address:unknown'],
])('the tries of %s are counted as %s', (ip, name) => {
  expect(triesFrom(ip).name).toBe(name);
});

it.each([
  [{}, true],
  [{ origin: 'https://here.example:8443', host: 'here.example:8443' }, true],
  [{ origin: 'https://here.example', host: 'here.example', 'sec-fetch-site': 'same-origin' }, true],
  [{ origin: 'https://trusted.example', host: 'here.example', 'sec-fetch-site': 'cross-site' }, true],
  [{ origin: 'https://here.example:1', host: 'here.example' }, false],
  [{ origin: 'https://not-here.example', host: 'here.example' }, false],
  [{ origin: 'null', host: 'here.example', 'sec-fetch-site': 'same-origin' }, false],
  [{ origin: '', host: '' }, false],
  [{ 'sec-fetch-site': 'same-site' }, false],
])('accepts a request with the headers %j as its own site: %s', (headers, fromHere) => {
  expect(isFromHere(headers, trustedOrigins({ publicUrl: undefined, corsOrigins: ['https://trusted.example'] }))).toBe(fromHere);
});

it.each([
  [{ origin: 'https://here.example', host: 'here.example' }, true],
  [{ origin: 'https://here.example', host: '127.0.0.1:4000' }, true],
  [{ origin: 'http://here.example', host: 'here.example' }, false],
  [{ origin: 'http://127.0.0.1:4000', host: '127.0.0.1:4000' }, false],
  [{ origin: 'null', host: 'null' }, false],
  [{ host: 'here.example', 'sec-fetch-site': 'same-origin' }, true],
])('with PUBLIC_URL https://here.example, accepts a request with the headers %j as its own site: %s', (headers, fromHere) => {
  expect(isFromHere(headers, trustedOrigins({ publicUrl: 'https://here.example', corsOrigins: [] }))).toBe(fromHere);
});

it('refuses to start with a PUBLIC_URL that is not an origin of http or https', () => {
  for (const PUBLIC_URL of [
    'localhost:4000',
    'example',
    'ftp://api.example.com',
    'https://api.example.com/tollgate',
    'https://api.example.com?a=b',
    'https://ada:secret@api.example.com',
  ]) {
    expect(() => loadConfig({ PUBLIC_URL })).toThrow(
      new ConfigError('PUBLIC_URL must be http:// or https:// and a host, such as https://api.example.com, without a path.'),
    );
  }
  expect(['https://api.example.com/', 'http://LOCALHOST:4000'].map((PUBLIC_URL) => loadConfig({ PUBLIC_URL }).publicUrl)).toEqual([
    'https://api.example.com',
    'http://localhost:4000',
  ]);
});
