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

/** What has just been appended, and need not be read again. */
export interface Written {
  entry: Entry;
  /** Of a batch. */
  blob?: Uint8Array;
}

/**
 * Grows the projections by every entry of the log that they lack, one transaction a chunk. `written`
 * by index; all others are read from log and store. An entry that erases or discloses has them grow
 * anew, all of them: sums that an erased batch went into would tell of it.
 */
export function project(
  { store, log, state }: { store: Store; log: Log; state: IngestState },
  written: ReadonlyMap<number, Written> = new Map(),
): void {
  const { ledgerDb: db } = store;
  createProjections(db);
  const read = (start: number, end: number): Entry[] => readEntries(log, written, { start, end });
  const start = nextIndex(db);
  const isRegrown = start > 0 && read(start, log.size()).some(changesThePast);
  if (isRegrown) {
    forgetProjections(db);
    createProjections(db);
  }
  for (let start = nextIndex(db); start < log.size(); start += CHUNK) {
    const entries = read(start, Math.min(start + CHUNK, log.size()));
    db.exec('BEGIN IMMEDIATE');
    try {
      for (const [i, entry] of entries.entries()) {
        const blob = written.get(start + i)?.blob;
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

function readEntries(
  log: Log, written: ReadonlyMap<number, Written>, { start, end }: { start: number; end: number },
): Entry[] {
  const known: Entry[] = [];
  for (let one = written.get(start); one && start + known.length < end;) {
    known.push(one.entry);
    one = written.get(start + known.length);
  }
  return start + known.length === end ? known : log.read(start, end).map(decodeEntry);
}

/** Whether an entry changes what those before it have added to the projections. */
function changesThePast(entry: Entry): boolean {
  return 'span' in entry;
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
