// The public key of a ledger's log, as https://c2sp.org/signed-note writes verifier keys:
//
//   <name>+<key id, 8 hex digits>+<base64 of type 01 and the 32 bytes of an Ed25519 key>
//
// The campaign holds it, from whoever runs the ledger: a log never vouches for its own. Pure.

import { createHash, createPublicKey, type KeyObject } from 'node:crypto';

export interface LogKey {
  /** The log's origin. */
  name: string;
  /** The four bytes before each of its signatures. */
  id: Buffer;
  key: KeyObject;
}

const ed25519 = 0x01;
/** DER before a raw key (RFC 8410 § 4). */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/** Undefined when it is none, or its id does not follow from it (signed-note § Signatures). */
export function parseLogKey(text: string): LogKey | undefined {
  const match = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$/.exec(text);
  if (match === null) return undefined;
  const [, name, idHex, base64] = match;
  const typed = Buffer.from(base64, 'base64');
  if (typed.length !== 33 || typed[0] !== ed25519) return undefined;
  const id = createHash('sha256').update(`${name}\n`).update(typed).digest().subarray(0, 4);
  if (id.toString('hex') !== idHex) return undefined;
  const der = Buffer.concat([spkiPrefix, typed.subarray(1)]);
  return { name, id, key: createPublicKey({ key: der, format: 'der', type: 'spki' }) };
}
