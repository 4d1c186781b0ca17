// A meter's keys, one after the other: which of them has a say about a batch. The batch that names
// the next key is judged in verify/batch.ts, and decided upon in ingest.ts. Pure.

import type { IngestState } from './ingest.ts';
import type { SignedBatch } from './verify/batch.ts';

/** Each of a meter's keys counts its one-time keys from 0: index 5 of two keys is no reuse. */
export interface OneTimeKey {
  /** Which of the meter's keys, 0 the one enrolled. */
  generation: number;
  q: number;
}

/**
 * The keys whose signature would decide about a batch: its meter's key in force; and the one before,
 * if that has spent the same one-time key on something else. Older ones have no say left, and
 * trying them all would let a stranger make each post dearer than the one before. None if the meter
 * is unknown, or the batch is not.
 */
export function signersOf(state: IngestState, batch: SignedBatch): Uint8Array[] {
  if (state.indexOf(batch.hash) !== undefined) return [];
  const meter = state.meter(batch.payload.meterId);
  if (meter === undefined) return [];
  const { id, keys } = meter;
  const before = { generation: keys.length - 2, q: batch.q };
  const isSpent = keys.length > 1 && state.signedWith(id, before) !== undefined;
  return isSpent ? [keys[keys.length - 1], keys[keys.length - 2]] : [keys[keys.length - 1]];
}
