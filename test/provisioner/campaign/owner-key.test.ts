// The owner's key as the bench makes it and as the ledger's command reads it: one key.

import { createHash } from 'node:crypto';

import test from 'ava';
import fc from 'fast-check';

import { parseOwnerKey } from '../../../ledger/owner-key.ts';
import { makeOwnerKey, ownerPublicKey } from '../../../provisioner/campaign/owner-key.ts';
import { seededRandom } from '../../helpers/bench.ts';

const ownerKey = fc.integer().map((seed) => makeOwnerKey(seededRandom(`owner ${seed}`)));

test('however it is typed, the ledger’s command has the key that the enrolment names', (t) => {
  fc.assert(
    fc.property(ownerKey, (words) => {
      const named = Buffer.from(ownerPublicKey(words));
      const spaced = words.replaceAll('-', ' ');
      for (const typed of [words, `${words.toUpperCase()}\r\n`, spaced, words.replaceAll('-', '')]) {
        t.deepEqual(Buffer.from(parseOwnerKey(typed).publicKey), named);
      }
    }),
  );
});

test('a slip of the hand is a typing mistake, not another key, and is not repeated', (t) => {
  const typeable = fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz23456789');
  fc.assert(
    fc.property(ownerKey, fc.nat(40), typeable, (words, at, other) => {
      const letters = [...words.replaceAll('-', '')];
      fc.pre(letters[at] !== other);
      const typed = letters.with(at, other).join('');
      const error = t.throws(() => parseOwnerKey(typed), { code: 'bad-owner-key' });
      t.false(JSON.stringify(error).includes(typed));
    }),
  );
});

test('the derivation stays: keys that were printed open for ever', (t) => {
  const words = makeOwnerKey(seededRandom('vector'));
  t.is(words, 'rikot-hilis-nasor-fidip-fuvam-zison-sumub-pifob-5');
  const hash = createHash('sha256').update(`commons-kit/owner-key:${words}`).digest('hex');
  t.deepEqual(parseOwnerKey(hash).publicKey, parseOwnerKey(words).publicKey, 'the seed, as hex digits');
  t.is(Buffer.from(ownerPublicKey(words)).toString('hex'), '093a40fd2b18ad1bf5c9a7c8a19b5cae88b116a4642ba519d8a8a18d8b784aba');
});
