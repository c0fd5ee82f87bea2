import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { hmacSha256 } from '../src/lib/hmac';

it('is HMAC-SHA256 as Node makes it, for keys and texts of any length and of any characters, one after the other', () => {
  const text = fc.oneof(fc.string({ maxLength: 300 }), fc.string({ unit: 'binary', maxLength: 300 }));
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), fc.array(text, { minLength: 1, maxLength: 5 }), (key, texts) => {
      const digest = hmacSha256(key);
      for (const one of texts) expect(digest(one)).toBe(createHmac('sha256', key).update(one).digest('base64url'));
    }),
  );
});
