// What a volunteer signs: a COSE_Sign1 under Ed25519 whose key id is the volunteer's public key,
// around a payload of deterministic CBOR that names its context and the ledger. Reads the envelope;
// what the payload means is the caller's.

import { ALG, decodeSign1, encodeHeader, encodeSign1, encodeSigStructure } from '../../firmware/wire.ts';
import type { LedgerError } from '../errors.ts';
import { ED25519_KEY_BYTES, importPublicKey, verifyEd25519 } from '../log/ed25519.ts';
import { equal } from '../log/tree.ts';
import { written } from './batch.ts';

export interface VolunteerSign1 {
  volunteerKey: Uint8Array;
  payload: Uint8Array;
  /** The Sig_structure (RFC 9052 § 4.4). */
  message: Uint8Array;
  signature: Uint8Array;
}

/** Makes the refusal that a caller's own errors are. */
export type Malformed = (expected: string, got: string, cause?: unknown) => LedgerError;

/** Reads the envelope, strictly; its signature is not verified yet. */
export function parseVolunteerSign1(bytes: Uint8Array, malformed: Malformed): VolunteerSign1 {
  const { alg, kid, payload, proof } = strictly(() => decodeSign1(bytes), malformed);
  if (alg !== ALG.ed25519 || kid?.length !== ED25519_KEY_BYTES) {
    throw malformed(`algorithm ${ALG.ed25519} and a 32-byte key id`, `algorithm ${alg}`);
  }
  const header = written(64, (out) => encodeHeader(out, alg, kid));
  const again = written(bytes.length, (out) => encodeSign1(out, header, payload, proof));
  if (!equal(again, bytes)) throw malformed('the canonical encoding', 'another');
  const size = payload.length + 96;
  const message = written(size, (out) => encodeSigStructure(out, header, payload));
  return { volunteerKey: kid, payload, message, signature: proof };
}

/** Whether the signature is the key's that the envelope names. */
export function isSignedByVolunteer(
  { volunteerKey, message, signature }: VolunteerSign1,
): boolean {
  return verifyEd25519(importPublicKey(volunteerKey), message, signature);
}

/** Whatever a decoder throws at the bytes is one refusal to the sender. */
export function strictly<T>(read: () => T, malformed: Malformed): T {
  try {
    return read();
  } catch (error) {
    throw malformed('bytes as docs/ledger.md draws them', (error as Error).message, error);
  }
}
