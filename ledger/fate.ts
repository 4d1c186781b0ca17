// What became of a batch after its time: erased, or disclosed later than its owner first chose.
// Computable from the log alone, by the ledger and any auditor alike. Pure.
//
// Erasing leaves three kinds of batches alone: one that names a key and one that proves an
// equivocation, without which nobody could verify the meter; and the meter's last one, which the
// next must continue. What is erased stays so, whatever is asked later.

import type { Entry } from './entry.ts';
import { isBatch } from './entry.ts';
import type { PublishedBatch } from './publish.ts';

/** Batches received from `fromMs` on and before `toMs`. */
export interface Span {
  fromMs: number;
  toMs: number;
}

export type Fate = 'erased' | 'disclosed';

/** A meter's batch as its log entry tells it. */
export type LoggedBatch = Omit<PublishedBatch, 'publish'> & { hash: Uint8Array };

export interface Known {
  /** The entry index of the meter's last batch before the request. */
  lastIndex: number | null;
  isEvidence(hash: Uint8Array): boolean;
  isErased(index: number): boolean;
}

/** Those of a meter's batches, all of them ahead of the request, that it erases or discloses. */
export function concerned(
  fate: Fate,
  batches: readonly LoggedBatch[],
  { span, known }: { span: Span; known: Known },
): LoggedBatch[] {
  const { lastIndex, isEvidence, isErased } = known;
  return batches.filter(({ index, receivedMs, namesKey, hash }) => {
    if (receivedMs < span.fromMs || receivedMs >= span.toMs || isErased(index)) return false;
    return fate === 'disclosed' || !(namesKey || index === lastIndex || isEvidence(hash));
  });
}

/** What became of batches, by their entries' indices in a whole log; null is one nobody can read. */
export function fatesOf(entries: Iterable<Entry | null>): Map<number, Fate> {
  const fates = new Map<number, Fate>();
  const evidence = new Set<string>();
  const meters = new Map<string, LoggedBatch[]>();
  let index = 0;
  for (const entry of entries) {
    if (entry?.type === 'key-revoked') for (const hash of entry.evidence) evidence.add(hex(hash));
    if (entry !== null && isBatch(entry)) {
      const { receivedMs, batchHash: hash } = entry;
      const batches = meters.get(hex(entry.meterId)) ?? [];
      batches.push({ index, receivedMs, namesKey: entry.type === 'key-succeeded', hash });
      meters.set(hex(entry.meterId), batches);
    }
    if (entry !== null && 'span' in entry) {
      const batches = meters.get(hex(entry.meterId)) ?? [];
      const fate = entry.type === 'batches-erased' ? 'erased' : 'disclosed';
      const known = {
        lastIndex: batches.at(-1)?.index ?? null,
        isEvidence: (hash: Uint8Array) => evidence.has(hex(hash)),
        isErased: (at: number) => fates.get(at) === 'erased',
      };
      for (const one of concerned(fate, batches, { span: entry.span, known })) {
        fates.set(one.index, fate);
      }
    }
    index++;
  }
  return fates;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
