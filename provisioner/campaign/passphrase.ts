// A secret that a person reads off paper and types: proquints (Wilkerson, arXiv:0901.4016), five
// letters for 16 bits, pronounceable in most languages. Pure.

/** Five quints are 80 bits: out of reach of guessing, 29 characters to type. */
export const passphraseBytes = 10;

const consonants = 'bdfghjklmnprstvz';
const vowels = 'aiou';

/**
 * What no kit is given to its owner with, whoever put it among the secrets: servers on the internet
 * are tried with lists of such words within the hour.
 */
export function isWeakPassphrase(passphrase: string): boolean {
  return passphrase.length < 12 || new Set(passphrase).size < 6;
}

/** @param bytes an even number of them; two become one group */
export function proquint(bytes: Uint8Array): string {
  const groups: string[] = [];
  for (let at = 0; at < bytes.length; at += 2) groups.push(quint((bytes[at] << 8) | bytes[at + 1]));
  return groups.join('-');
}

/** 16 bits as consonant 4, vowel 2, consonant 4, vowel 2, consonant 4. */
function quint(bits: number): string {
  return (
    consonants[bits >> 12] +
    vowels[(bits >> 10) & 3] +
    consonants[(bits >> 6) & 15] +
    vowels[(bits >> 4) & 3] +
    consonants[bits & 15]
  );
}
