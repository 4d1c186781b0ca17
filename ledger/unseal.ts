// Opens what a bench sealed to this ledger at pairing: CBOR {1: pairing key, 32 bytes, 2: private
// name} under age (https://age-encryption.org/v1). The only place that reads pairing keys from
// outside.

import { Decrypter } from 'age-encryption';
import { decode } from 'cborg';
import { LedgerError } from './errors.ts';
import { equal, sha256 } from './log/tree.ts';

export interface KitSecrets {
  pairingKey: Uint8Array;
  privateName: string;
}

const PAIRING_KEY_BYTES = 32;
const MAX_NAME = 200;

/** Throws LedgerError `bad-seal` unless the bytes are those the volunteer signed for, and open. */
export async function unseal(
  sealed: Uint8Array,
  sealedHash: Uint8Array,
  ageIdentity: string,
): Promise<KitSecrets> {
  if (!equal(sha256(sealed), sealedHash)) throw refusal('the sealed secrets signed for', 'others');
  let secrets: unknown;
  try {
    const decrypter = new Decrypter();
    decrypter.addIdentity(ageIdentity);
    secrets = decode(await decrypter.decrypt(sealed), { useMaps: true, strict: true });
  } catch (cause) {
    throw refusal('secrets sealed to this ledger’s age recipient', String(cause), cause);
  }
  const [key, name] = secrets instanceof Map ? [secrets.get(1), secrets.get(2)] : [];
  const keyIsGood = key instanceof Uint8Array && key.length === PAIRING_KEY_BYTES;
  if (!keyIsGood || typeof name !== 'string' || name.length > MAX_NAME) {
    throw refusal('{1: pairing key of 32 bytes, 2: name}', 'something else');
  }
  return { pairingKey: new Uint8Array(key), privateName: name };
}

function refusal(expected: string, got: string, cause?: unknown): LedgerError {
  const parts = { code: 'bad-seal', message: 'Enrolment refused', expected, got, cause };
  return new LedgerError(parts);
}
