// What a person types off paper and must not mistype unseen: groups as in passphrases
// (passphrase.ts) and a check character, which tells a slip of the hand from a wrong secret:
//
//   lusab-babad-gutih-7      16 bits drawn a group; ISO/IEC 7064 MOD 37-2 over the letters
//
// The check character detects every single wrong character and every two exchanged ones. Words are
// drawn until it is a digit from 2 to 9: it then cannot be taken for a letter, nor 0 and 1 for O and
// I; that costs 2.2 bits. Pure.

import type { RandomSource } from './identity.ts';
import { proquint } from './passphrase.ts';

/** ISO/IEC 7064:2003 § 5: the characters that MOD 37-2 knows, by their values. */
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*';
const modulus = 37;
const groupBytes = 2;
const groupLetters = 5;

export function makeCheckedWords(groups: number, random: RandomSource): string {
  for (;;) {
    const words = proquint(random(groups * groupBytes));
    const check = checkCharacter(words.replaceAll('-', ''));
    if (/[2-9]/.test(check)) return `${words}-${check}`;
  }
}

/**
 * What a person typed, in the one form that is compared: small letters, hyphens or spaces wherever
 * they like; undefined where the check character does not fit.
 */
export function readCheckedWords(groups: number, typed: string): string | undefined {
  const letters = typed.toLowerCase().replace(/[\s-]/g, '');
  if (letters.length !== groups * groupLetters + 1) return undefined;
  if (!/^[a-z]+[2-9]$/.test(letters)) return undefined;
  if (checkCharacter(letters.slice(0, -1)) !== letters.slice(-1)) return undefined;
  return letters.match(/.{1,5}/g)!.join('-');
}

/**
 * ISO/IEC 7064:2003 § 7.2, the recursive method for a pure system with one check character.
 * @param text letters and digits
 */
export function checkCharacter(text: string): string {
  let sum = 0;
  for (const character of text.toUpperCase()) {
    const value = alphabet.indexOf(character);
    if (value < 0 || value === modulus - 1) throw new RangeError(`no letter or digit: ${character}`);
    sum = ((sum + value) * 2) % modulus;
  }
  return alphabet[(modulus + 1 - sum) % modulus];
}
