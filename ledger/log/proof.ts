// Offline proofs that an entry is in a log, by https://c2sp.org/tlog-proof (file ending
// .tlog-proof):
//
//   c2sp.org/tlog-proof@v1
//   extra <base64>              optional, not authenticated
//   index <decimal>
//   <base64 hash>…              PATH of RFC 6962, sibling of the leaf first
//   (empty line)
//   <checkpoint, a signed note, verbatim>

import { LedgerError } from '../errors.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { parseDecimal } from './checkpoint.ts';
import type { Policy, VerifiedCheckpoint } from './policy.ts';
import { verifyCheckpoint } from './policy.ts';
import type { Hash } from './tree.ts';
import { checkInclusion, HASH_BYTES } from './tree.ts';

const HEADER = 'c2sp.org/tlog-proof@v1';
/** A tree of 2^63 leaves has paths of 63 hashes. */
const MAX_HASHES = 63;

export interface TlogProof {
  extra: Uint8Array | undefined;
  index: number;
  path: Hash[];
  /** The signed note, verbatim. */
  checkpoint: Uint8Array;
}

export function formatProof({ extra, index, path, checkpoint }: TlogProof): Uint8Array {
  const lines = [HEADER];
  if (extra !== undefined) lines.push(`extra ${encodeBase64(extra)}`);
  lines.push(`index ${index}`, ...path.map(encodeBase64), '', '');
  return new Uint8Array(Buffer.concat([Buffer.from(lines.join('\n')), checkpoint]));
}

/** The inverse of {@link formatProof}. Throws LedgerError `malformed-proof`. */
export function parseProof(bytes: Uint8Array): TlogProof {
  const buffer = Buffer.from(bytes);
  const end = buffer.indexOf('\n\n');
  if (end < 0) throw malformed('an empty line before the checkpoint', 'none');
  const lines = buffer.toString('latin1', 0, end).split('\n');
  if (lines.shift() !== HEADER) throw malformed(HEADER, 'another first line');
  const extra = lines[0]?.startsWith('extra ') ? readBase64(lines.shift()!.slice(6)) : undefined;
  const index = lines.shift();
  if (!index?.startsWith('index ')) throw malformed('index <decimal>', index ?? 'nothing');
  if (lines.length > MAX_HASHES) throw malformed(`at most ${MAX_HASHES} hashes`, `${lines.length}`);
  const path = lines.map(readBase64);
  if (path.some(({ length }) => length !== HASH_BYTES)) throw malformed('32-byte hashes', 'other');
  const checkpoint = new Uint8Array(buffer.subarray(end + 2));
  return { extra, index: parseDecimal(index.slice(6)), path, checkpoint };
}

/**
 * Verifies that the entry with this leaf hash is in a log that the policy trusts.
 * Throws LedgerError `malformed-proof`, `not-included`, or as verifyCheckpoint does.
 */
export function verifyProof(bytes: Uint8Array, leaf: Hash, policy: Policy): VerifiedCheckpoint {
  const { index, path, checkpoint } = parseProof(bytes);
  const verified = verifyCheckpoint(checkpoint, policy);
  if (!checkInclusion(path, verified, { index, hash: leaf })) {
    const got = `a path that does not lead from this entry to the root of ${verified.size}`;
    throw new LedgerError({ code: 'not-included', message: 'Proof refused', got });
  }
  return verified;
}

function readBase64(text: string): Uint8Array {
  const bytes = decodeBase64(text);
  if (bytes === undefined) throw malformed('base64', text);
  return bytes;
}

function malformed(expected: string, got: string): LedgerError {
  return new LedgerError({ code: 'malformed-proof', message: 'Proof refused', expected, got });
}
