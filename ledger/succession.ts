// A meter's keys, one after the other: which of them has a say about a batch. The batch that names
// the next key is judged in verify/batch.ts, and decided upon in ingest.ts. Pure.

import type { IngestState, MeterState } from './ingest.ts';
import type { SignedBatch } from './verify/batch.ts';
import { linksTo } from './verify/batch.ts';
import { STATEMENT_Q } from './verify/enrolment.ts';

/** Each of a meter's keys counts its one-time keys from 0: index 5 of two keys is no reuse. */
export interface OneTimeKey {
  /** Which of the meter's keys, 0 the one enrolled. */
  generation: number;
  q: number;
}

/**
 * Whether a batch is its meter's next by itself. It names the last accepted one, so that it is none
 * of those; its one-time key, if it is the key's in force, lies above all that this has spent. What
 * the store would have to be asked for each batch is known of this one.
 */
export function isNext({ last }: MeterState, batch: SignedBatch): boolean {
  return linksTo(batch, last?.hash ?? null) && batch.q > (last?.q ?? STATEMENT_Q);
}

/**
 * The keys whose signature would decide about a batch: its meter's key in force; and the one before,
 * if that has spent the same one-time key on something else. Older ones have no say left, and
 * trying them all would let a stranger make each post dearer than the one before. None if the meter
 * is unknown, or the batch is not.
 */
export function signersOf(state: IngestState, batch: SignedBatch): Uint8Array[] {
  const meter = state.meter(batch.payload.meterId);
  if (meter === undefined) return [];
  if (!isNext(meter, batch) && state.indexOf(batch.hash) !== undefined) return [];
  const { id, keys } = meter;
  const before = { generation: keys.length - 2, q: batch.q };
  const isSpent = keys.length > 1 && state.signedWith(id, before) !== undefined;
  return isSpent ? [keys[keys.length - 1], keys[keys.length - 2]] : [keys[keys.length - 1]];
}
