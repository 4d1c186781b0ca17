// Recovery codes: what an owner types when the passphrase is lost. Three groups as in passphrases
// (campaign/passphrase.ts) and a check character, which tells a slip of the hand from a wrong code:
//
//   lusab-babad-gutih-7      48 bits drawn; ISO/IEC 7064 MOD 37-2 over the letters
//
// The check character detects every single wrong character and every two exchanged ones. Codes are
// drawn until it is a digit from 2 to 9: it then cannot be taken for a letter, nor 0 and 1 for O and
// I; 45.8 bits are left. Pure.

import type { RandomSource } from '../campaign/identity.ts';
import { proquint } from '../campaign/passphrase.ts';

export const codeCount = 8;
const codeBytes = 6;

/** ISO/IEC 7064:2003 § 5: the characters that MOD 37-2 knows, by their values. */
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*';
const modulus = 37;

export function makeRecoveryCodes(random: RandomSource): string[] {
  return Array.from({ length: codeCount }, () => makeRecoveryCode(random));
}

export function makeRecoveryCode(random: RandomSource): string {
  for (;;) {
    const groups = proquint(random(codeBytes));
    const check = checkCharacter(groups.replaceAll('-', ''));
    if (/[2-9]/.test(check)) return `${groups}-${check}`;
  }
}

/**
 * What a person typed, in the one form that is compared: small letters, hyphens or spaces wherever
 * they like; undefined where the check character does not fit.
 */
export function readRecoveryCode(typed: string): string | undefined {
  const letters = typed.toLowerCase().replace(/[\s-]/g, '');
  if (!/^[a-z]{15}[2-9]$/.test(letters)) return undefined;
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
