// Ed25519 (RFC 8032) on Node's own crypto: raw 32-byte keys in, signatures out. Keeps no key.

import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

/** DER around a raw key (RFC 8410 § 4 and § 7): SubjectPublicKeyInfo, PrivateKeyInfo. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

export const ED25519_KEY_BYTES = 32;
export const ED25519_SIGNATURE_BYTES = 64;

/** A public key ready to verify with; the 32 bytes are taken as they are. */
export function importPublicKey(raw: Uint8Array): KeyObject {
  const der = Buffer.concat([SPKI_PREFIX, raw]);
  return createPublicKey({ key: der, format: 'der', type: 'spki' });
}

export interface SigningKey {
  publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
}

/** A signing key from its 32-byte seed. */
export function signingKey(seed: Uint8Array): SigningKey {
  const der = Buffer.concat([PKCS8_PREFIX, seed]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return {
    publicKey: new Uint8Array(spki.subarray(SPKI_PREFIX.length)),
    sign: (message) => new Uint8Array(sign(null, message, key)),
  };
}

/** True if `signature` is `key`'s over `message`; malformed keys and signatures are just false. */
export function verifyEd25519(
  key: KeyObject,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  return signature.length === ED25519_SIGNATURE_BYTES && verify(null, message, key, signature);
}
