// The body of add-checkpoint, by https://c2sp.org/tlog-witness:
//
//   old <decimal>        size of the checkpoint that the witness cosigned last
//   <base64 hash>…       PROOF of RFC 6962 from that size to the new one, at most 63
//   (empty line)
//   <checkpoint, a signed note, verbatim>

import { LedgerError } from '../errors.ts';
import { decodeBase64, encodeBase64 } from '../log/base64.ts';
import { parseDecimal } from '../log/checkpoint.ts';
import type { Hash } from '../log/tree.ts';
import { HASH_BYTES } from '../log/tree.ts';

const MAX_HASHES = 63;

export interface AddCheckpoint {
  oldSize: number;
  proof: Hash[];
  /** The signed note, verbatim. */
  checkpoint: Uint8Array;
}

export function formatAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): Uint8Array {
  const lines = [`old ${oldSize}`, ...proof.map(encodeBase64), '', ''];
  return new Uint8Array(Buffer.concat([Buffer.from(lines.join('\n')), checkpoint]));
}

/** The inverse of {@link formatAddCheckpoint}. Throws LedgerError `malformed-request`. */
export function parseAddCheckpoint(bytes: Uint8Array): AddCheckpoint {
  const buffer = Buffer.from(bytes);
  const end = buffer.indexOf('\n\n');
  if (end < 0) throw malformed('an empty line before the checkpoint', 'none');
  const [old, ...hashes] = buffer.toString('latin1', 0, end).split('\n');
  if (!old.startsWith('old ')) throw malformed('old <decimal>', old.slice(0, 80));
  if (hashes.length > MAX_HASHES) throw malformed(`at most ${MAX_HASHES} hashes`, 'more');
  const checkpoint = new Uint8Array(buffer.subarray(end + 2));
  return { oldSize: readSize(old.slice(4)), proof: hashes.map(readHash), checkpoint };
}

function readSize(text: string): number {
  try {
    return parseDecimal(text);
  } catch (cause) {
    throw malformed('old <decimal without leading zeroes>', text.slice(0, 80), cause);
  }
}

function readHash(text: string): Hash {
  const hash = decodeBase64(text);
  if (hash?.length !== HASH_BYTES) throw malformed('a hash of 32 bytes', text.slice(0, 80));
  return hash;
}

function malformed(expected: string, got: string, cause?: unknown): LedgerError {
  const parts = { code: 'malformed-request', message: 'Checkpoint not cosigned', expected, got };
  return new LedgerError({ ...parts, cause });
}
