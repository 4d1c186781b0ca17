// The owner's key: what a kit's owner asks the ledger with, after hand-over, to publish more or less
// of the meter's readings or to erase some. Eight groups and a check character (checked-words.ts),
// 125.8 bits, printed on the leaflet and typed off it; the enrolment names the public half. Owns how
// words become an Ed25519 key (RFC 8032 § 5.1.5):
//
//   seed = SHA-256("commons-kit/owner-key:" ‖ the words as printed, in ASCII)
//
// ledger/owner-key.ts reads the same words where the owner asks. Drawn at random and as strong as
// the key itself, they need no slow hash, as a passphrase that somebody chose would. Pure.

import { createHash } from 'node:crypto';

import { makeCheckedWords } from './checked-words.ts';
import { ed25519FromSeed, type RandomSource } from './identity.ts';

const ownerKeyGroups = 8;

export function makeOwnerKey(random: RandomSource): string {
  return makeCheckedWords(ownerKeyGroups, random);
}

/** 32 bytes: what an enrolment may name. @param words as {@link makeOwnerKey} gave them */
export function ownerPublicKey(words: string): Uint8Array {
  const seed = createHash('sha256').update(`commons-kit/owner-key:${words}`).digest();
  return ed25519FromSeed(seed).publicKey;
}
