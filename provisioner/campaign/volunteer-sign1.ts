// What a volunteer signs, as bytes: a COSE_Sign1 (RFC 9052) under Ed25519 whose key id is the
// volunteer's public key. What the payload says is its maker's.

import { sign, type KeyObject } from 'node:crypto';
import { ALG, encodeHeader, encodeSign1, encodeSigStructure, type Sink } from '../../firmware/wire.ts';

/** Envelope and header around a payload; generous. */
const ENVELOPE_BYTES = 256;

export interface Volunteer {
  publicKey: Uint8Array;
  signingKey: KeyObject;
}

export function signAsVolunteer(
  payload: Uint8Array, { publicKey, signingKey }: Volunteer,
): Uint8Array {
  const sizeBytes = payload.length + ENVELOPE_BYTES;
  const header = written(sizeBytes, (out) => encodeHeader(out, ALG.ed25519, publicKey));
  const covered = written(sizeBytes, (out) => encodeSigStructure(out, header, payload));
  const signature = new Uint8Array(sign(null, covered, signingKey));
  return written(sizeBytes, (out) => encodeSign1(out, header, payload, signature));
}

function written(sizeBytes: number, write: (out: Sink) => void): Uint8Array {
  const out = { bytes: new Uint8Array(sizeBytes), at: 0 };
  write(out);
  return out.bytes.slice(0, out.at);
}
