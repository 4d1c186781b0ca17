// Checkpoints, by https://c2sp.org/tlog-checkpoint: the text of a note that commits to a whole
// tree.
//
//   <origin>
//   <tree size, decimal>
//   <root hash, base64>
//   (extension lines, if any)
//
// Owns that text only; signatures are the note's.

import { LedgerError } from '../errors.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { HASH_BYTES } from './tree.ts';

export interface Checkpoint {
  origin: string;
  size: number;
  root: Uint8Array;
  /** Opaque, unaudited; this ledger writes none. */
  extensions: string[];
}

/** Reads a checkpoint's text. Throws LedgerError `malformed-checkpoint`. */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split('\n');
  const end = lines.pop();
  const [origin, size, root, ...extensions] = lines;
  if (end !== '' || lines.length < 3 || lines.includes('')) {
    throw malformed('three or more lines, none empty', JSON.stringify(text.slice(0, 120)));
  }
  const bytes = decodeBase64(root);
  if (bytes?.length !== HASH_BYTES) throw malformed('a root hash of 32 bytes', root);
  return { origin, size: parseDecimal(size), root: bytes, extensions };
}

/** The text of a checkpoint; the inverse of {@link parseCheckpoint}. */
export function formatCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  return [origin, String(size), encodeBase64(root), ...extensions, ''].join('\n');
}

/** ASCII decimal without leading zeroes, below 2^53. */
export function parseDecimal(text: string): number {
  const value = Number(text);
  if (!/^(0|[1-9][0-9]{0,15})$/.test(text) || !Number.isSafeInteger(value)) {
    throw malformed('a decimal without leading zeroes', text);
  }
  return value;
}

function malformed(expected: string, got: string): LedgerError {
  const message = 'Checkpoint refused';
  return new LedgerError({ code: 'malformed-checkpoint', message, expected, got });
}
