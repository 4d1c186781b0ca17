// Witness cosignatures over checkpoints, by https://c2sp.org/tlog-cosignature, the Ed25519 kind:
//
//   signature in the note line   u64 time (POSIX seconds, big-endian) || Ed25519 signature
//   bytes that it covers         "cosignature/v1\ntime <decimal>\n" || the checkpoint's whole text
//
// Verifies and makes them; decides nothing about whom to believe (policy.ts does).

import { SIGNATURE_TYPE, verifierKey, verifyNoteSignature } from './note.ts';
import type { NoteSignature, VerifierKey } from './note.ts';
import { ED25519_SIGNATURE_BYTES, signingKey, verifyEd25519 } from './ed25519.ts';

const TIME_BYTES = 8;

/** True if `signature` is the witness's over the checkpoint `text`. */
export function verifyCosignature(
  key: VerifierKey,
  text: string,
  signature: Uint8Array,
): boolean {
  if (key.type !== SIGNATURE_TYPE.cosignatureV1) return false;
  if (signature.length !== TIME_BYTES + ED25519_SIGNATURE_BYTES) return false;
  const time = cosignatureTime(signature);
  if (time >= 1n << 63n) return false; // § Format: it must not exceed 2^63 − 1.
  return verifyEd25519(key.key, coveredBytes(time, text), signature.subarray(TIME_BYTES));
}

/** Verifies a note line by the kind of its key: a log's signature or a witness's cosignature. */
export function verifyCheckpointSignature(
  key: VerifierKey,
  text: string,
  signature: Uint8Array,
): boolean {
  return verifyNoteSignature(key, text, signature) || verifyCosignature(key, text, signature);
}

/** When the witness says that it signed, in POSIX seconds. */
export function cosignatureTime(signature: Uint8Array): bigint {
  return new DataView(signature.buffer, signature.byteOffset).getBigUint64(0);
}

/** The note line with which the witness `name` vouches for a checkpoint at `timeS`. */
export function cosign(
  text: string,
  { name, seed, timeS }: { name: string; seed: Uint8Array; timeS: number },
): NoteSignature {
  const witness = signingKey(seed);
  const time = new Uint8Array(TIME_BYTES);
  new DataView(time.buffer).setBigUint64(0, BigInt(timeS));
  const signature = Buffer.concat([time, witness.sign(coveredBytes(BigInt(timeS), text))]);
  const { keyId } = verifierKey(name, SIGNATURE_TYPE.cosignatureV1, witness.publicKey);
  return { name, keyId, signature: new Uint8Array(signature) };
}

function coveredBytes(time: bigint, text: string): Uint8Array {
  return new TextEncoder().encode(`cosignature/v1\ntime ${time}\n${text}`);
}
