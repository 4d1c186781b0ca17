import { randomBytes } from 'node:crypto';

import test from 'ava';
import fc from 'fast-check';

import { checkCharacter, makeRecoveryCode } from '../../../provisioner/handover/recovery-code.ts';
import { makeRecoveryCodes } from '../../../provisioner/handover/recovery-code.ts';
import { readRecoveryCode } from '../../../provisioner/handover/recovery-code.ts';
import { seededRandom } from '../../helpers/bench.ts';

test('check characters are those of ISO/IEC 7064 MOD 37-2', (t) => {
  // Donation numbers and their keyboard entry check characters: ISBT 128's own examples, and the
  // last from the Red Book of the UK transfusion services, annex 2.
  t.is(checkCharacter('A999922654321'), 'S');
  t.is(checkCharacter('A999922123458'), 'J');
  t.is(checkCharacter('a999522123456'), '*');
  t.is(checkCharacter('G123498654321'), 'H');
  t.throws(() => checkCharacter('a-b'), { instanceOf: RangeError });
});

const anyCode = fc
  .integer()
  .map((seed) => makeRecoveryCode(seededRandom(`code ${seed}`)));

test('a code is read back however it was typed', (t) => {
  fc.assert(
    fc.property(anyCode, (code) => {
      t.regex(code, /^([bdfghjklmnprstvz][aiou][bdfghjklmnprstvz][aiou][bdfghjklmnprstvz]-){3}[2-9]$/);
      t.is(readRecoveryCode(code), code);
      t.is(readRecoveryCode(` ${code.toUpperCase().replaceAll('-', ' ')}\r\n`), code);
      t.is(readRecoveryCode(code.replaceAll('-', '')), code);
    }),
  );
});

test('one wrong character, or two exchanged, is a typing mistake and no other code', (t) => {
  const typeable = [...'abcdefghijklmnopqrstuvwxyz23456789'];
  fc.assert(
    fc.property(anyCode, fc.nat(15), fc.constantFrom(...typeable), (code, at, other) => {
      const letters = [...code.replaceAll('-', '')];
      fc.pre(letters[at] !== other);
      t.is(readRecoveryCode(letters.with(at, other).join('')), undefined);
    }),
  );
  fc.assert(
    fc.property(anyCode, fc.nat(14), (code, at) => {
      const letters = [...code.replaceAll('-', '')];
      const [one, two] = [letters[at], letters[at + 1]];
      fc.pre(one !== two);
      t.is(readRecoveryCode(letters.with(at, two).with(at + 1, one).join('')), undefined);
    }),
  );
  t.is(readRecoveryCode(''), undefined);
  t.is(readRecoveryCode('lusab'), undefined);
});

test('eight of them, no two alike', (t) => {
  const codes = makeRecoveryCodes((sizeBytes) => new Uint8Array(randomBytes(sizeBytes)));
  t.is(new Set(codes).size, 8);
});
