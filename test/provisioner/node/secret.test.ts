import { inspect } from 'node:util';

import test from 'ava';

import { redact, Secret } from '../../../provisioner/node/secret.ts';

test('a secret shows itself only when it is asked to', (t) => {
  const secret = new Secret('open sesame');
  const ways = [String(secret), JSON.stringify({ secret }), inspect({ secret }), `${secret}`];
  for (const text of ways) t.true(text.includes('‹secret›') && !text.includes('sesame'), text);
  t.deepEqual(Object.keys(secret), []);
  t.is(secret.reveal(), 'open sesame');
});

test('redaction blots out secrets, whole and line by line, the longest first', (t) => {
  const secrets = [new Secret('BEGIN\nabcdefgh\nEND'), new Secret('abcdefghij'), new Secret('abc')];
  t.is(redact('abc: abcdefghij and abcdefgh', secrets), 'abc: ‹secret› and ‹secret›');
});
