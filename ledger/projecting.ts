// Grows the projections from the log and the private store, as an entry is committed and as a ledger
// is opened. Owns which entries they lack, and when all of them must grow anew; what an entry adds is
// ask/'s. Decides nothing of what enters the log.

import {
  applyEntry, createProjections, forgetProjections, nextIndex, termsOf,
} from './ask/project.ts';
import type { Applied } from './ask/project.ts';
import type { Entry } from './entry.ts';
import { decodeEntry, isBatch } from './entry.ts';
import { LedgerError } from './errors.ts';
import type { IngestState } from './ingest.ts';
import type { Log } from './log/writer.ts';
import type { Store } from './store.ts';
import { verifyEnrolment } from './verify/enrolment.ts';
import { verifyPrice } from './verify/price.ts';

const CHUNK = 512;

/**
 * Grows the projections by every entry of the log that they lack, one transaction a chunk. `known`:
 * batches by their entry's index; all others are read from the store. An entry that erases or
 * discloses has them grow anew, all of them: sums that an erased batch went into would tell of it.
 */
export function project(
  { store, log, state }: { store: Store; log: Log; state: IngestState },
  known: ReadonlyMap<number, Uint8Array> = new Map(),
): void {
  const { ledgerDb: db } = store;
  createProjections(db);
  const isRegrown = changesThePast(log, nextIndex(db));
  if (isRegrown) {
    forgetProjections(db);
    createProjections(db);
  }
  for (let start = nextIndex(db); start < log.size(); start += CHUNK) {
    const entries = log.read(start, Math.min(start + CHUNK, log.size())).map(decodeEntry);
    db.exec('BEGIN IMMEDIATE');
    try {
      for (const [i, entry] of entries.entries()) {
        const blob = known.get(start + i);
        const rest = blob ? { blob } : materials(store, entry);
        applyEntry(db, { index: start + i, entry, fate: state.fateOf(start + i), ...rest });
      }
      db.exec('COMMIT');
    } catch (error) {
      // A full disk has ended the transaction already.
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }
  // What was erased is not to be read from the write-ahead log either.
  if (isRegrown) db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
}

/** Whether an entry from `start` on changes what those before it have added to the projections. */
function changesThePast(log: Log, start: number): boolean {
  return start > 0 && log.read(start, log.size()).map(decodeEntry).some((entry) => 'span' in entry);
}

/** What the projections need beside the entry. */
function materials(store: Store, entry: Entry): Omit<Applied, 'index' | 'entry'> {
  const { origin } = store.keys;
  if (isBatch(entry)) return { blob: store.blob(entry.batchHash) };
  if (entry.type === 'kit-enrolled') {
    const blob = needBlob(store, entry.enrolmentHash);
    return { blob, kit: termsOf(verifyEnrolment(blob, origin)) };
  }
  if (entry.type === 'price-set') {
    const blob = needBlob(store, entry.priceHash);
    return { blob, price: verifyPrice(blob, origin) };
  }
  return { blob: null };
}

function needBlob(store: Store, hash: Uint8Array): Uint8Array {
  const blob = store.blob(hash);
  if (blob !== null) return blob;
  const parts = { code: 'blob-lost', message: 'Projections cannot be grown' };
  const expected = 'every enrolment and price in public/blob';
  throw new LedgerError({ ...parts, expected, got: 'one that is not there' });
}
