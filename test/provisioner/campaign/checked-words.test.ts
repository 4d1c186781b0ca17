import test from 'ava';
import fc from 'fast-check';

import { checkCharacter, makeCheckedWords, readCheckedWords } from '../../../provisioner/campaign/checked-words.ts';
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

/** Of recovery codes and of owners' keys. */
for (const groups of [3, 8]) {
  const words = fc.integer().map((seed) => makeCheckedWords(groups, seededRandom(`words ${seed}`)));
  const last = groups * 5;

  test(`${groups} groups: read back however they were typed`, (t) => {
    const quint = '[bdfghjklmnprstvz][aiou][bdfghjklmnprstvz][aiou][bdfghjklmnprstvz]';
    fc.assert(
      fc.property(words, (made) => {
        t.regex(made, new RegExp(`^(${quint}-){${groups}}[2-9]$`));
        t.is(readCheckedWords(groups, made), made);
        t.is(readCheckedWords(groups, ` ${made.toUpperCase().replaceAll('-', ' ')}\r\n`), made);
        t.is(readCheckedWords(groups, made.replaceAll('-', '')), made);
        t.is(readCheckedWords(groups + 1, made), undefined);
      }),
    );
  });

  test(`${groups} groups: a wrong character, or two exchanged, is a typing mistake`, (t) => {
    const typeable = fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz23456789');
    fc.assert(
      fc.property(words, fc.nat(last), typeable, (made, at, other) => {
        const letters = [...made.replaceAll('-', '')];
        fc.pre(letters[at] !== other);
        t.is(readCheckedWords(groups, letters.with(at, other).join('')), undefined);
      }),
    );
    fc.assert(
      fc.property(words, fc.nat(last - 1), (made, at) => {
        const letters = [...made.replaceAll('-', '')];
        const [one, two] = [letters[at], letters[at + 1]];
        fc.pre(one !== two);
        t.is(readCheckedWords(groups, letters.with(at, two).with(at + 1, one).join('')), undefined);
      }),
    );
  });
}

test('what is no such words at all', (t) => {
  for (const typed of ['', 'lusab', 'lusab-babad-gutih-7-7']) t.is(readCheckedWords(3, typed), undefined);
});
