// Recovery codes: what an owner types when the passphrase is lost. Three groups and a check
// character (campaign/checked-words.ts), 45.8 bits: `lusab-babad-gutih-7`. Pure.

import { makeCheckedWords, readCheckedWords } from '../campaign/checked-words.ts';
import type { RandomSource } from '../campaign/identity.ts';

export const codeCount = 8;
const codeGroups = 3;

export function makeRecoveryCodes(random: RandomSource): string[] {
  return Array.from({ length: codeCount }, () => makeRecoveryCode(random));
}

export function makeRecoveryCode(random: RandomSource): string {
  return makeCheckedWords(codeGroups, random);
}

/** As it is compared, however it was typed; undefined for a typing mistake. */
export function readRecoveryCode(typed: string): string | undefined {
  return readCheckedWords(codeGroups, typed);
}
