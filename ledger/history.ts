// A meter's batches as the log has them, found by the private store's index: no reading of the whole
// log. Reads only.

import type { BatchEntry } from './entry.ts';
import { decodeEntry, isBatch } from './entry.ts';
import type { LoggedBatch, Span } from './fate.ts';
import type { Log } from './log/writer.ts';
import type { Store } from './store.ts';

/** Those received within a span, and ahead of entry `end`, in the log's order. */
export function batchesWithin(
  { store, log }: { store: Store; log: Log },
  meterId: Uint8Array,
  { span, end }: { span: Span; end: number },
): LoggedBatch[] {
  const indices = store.indicesOf(meterId).filter((index) => index < end);
  const entryAt = (index: number): ReturnType<typeof decodeEntry> =>
    decodeEntry(log.read(index, index + 1)[0]);
  // Entries are dated in order.
  let [low, high] = [0, indices.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (entryAt(indices[middle]).receivedMs < span.fromMs) low = middle + 1;
    else high = middle;
  }
  const found: LoggedBatch[] = [];
  for (const index of indices.slice(low)) {
    const entry = entryAt(index);
    if (entry.receivedMs >= span.toMs) break;
    if (isBatch(entry)) found.push(asLogged(entry, index));
  }
  return found;
}

function asLogged(entry: BatchEntry, index: number): LoggedBatch {
  const { receivedMs, batchHash: hash } = entry;
  return { index, receivedMs, namesKey: entry.type === 'key-succeeded', hash };
}
