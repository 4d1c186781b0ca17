// What the judges of entries share: the state of an audit between two entries, the blobs that it
// may read, and how a doubt is raised. Judges nothing itself.

import type { Applied } from '../ask/project.ts';
import type { Calendar } from '../calendar.ts';
import type { BatchEntry } from '../entry.ts';
import { LedgerError } from '../errors.ts';
import type { Fate } from '../fate.ts';
import { equal, sha256 } from '../log/tree.ts';
import type { Publish, PublishedBatch } from '../publish.ts';
import type { SetPrice } from '../tariff.ts';
import type { Before } from '../verify/batch.ts';
import type { Enrolment } from '../verify/enrolment.ts';
import type { MonthsAudit } from './months.ts';
import type { AuditReport, Finding, NodeReport } from './report.ts';

export interface EntryContext {
  origin: string;
  /** A blob's bytes if it is disclosed, by hash. */
  blob(hash: Uint8Array): Promise<Uint8Array | null>;
  /** HSS/LMS; an auditor who looks again may remember answers. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}

export type EntriesReport = Pick<
  AuditReport,
  'volunteers' | 'entries' | 'blobs' | 'equivocations' | 'requests' | 'months' | 'nodes'
> & {
  /** Blobs that entries name, by their hashes in hex: whether each was public when last looked for. */
  referenced: Map<string, boolean>;
};

/** A meter while its entries are read. */
export interface MeterAudit {
  enrolment: Enrolment;
  /** In the order in which they came to sign; the last one is in force. */
  keys: Uint8Array[];
  /** As chosen by now. */
  publish: Publish;
  /** Of the owner's last request; the next one's is above. */
  requestNumber: number;
  node: NodeReport;
  last: LastBatch | null;
  /** Entries of batches that are public, though the log calls them erased. */
  stillShown: number[];
  before: Before;
}

/** A meter's last batch so far: whether it is due, its next one decides. */
export interface LastBatch extends PublishedBatch {
  entry: BatchEntry;
  /** Its blob was not public. */
  isAbsent: boolean;
  /** What it had to continue; it is judged by that if it is shown later. */
  before: Before;
  /** Hash of the batch before it. */
  previous: Uint8Array | null;
}

/** What an audit knows after some entries of a log: all that it needs to go on with the next. */
export interface Knowledge {
  /** Of the last entry that could be read, Unix ms. */
  lastMs: number;
  /** By the log as far as its checkpoint said. */
  fates: Map<number, Fate>;
  findings: Finding[];
  volunteers: Set<string>;
  meters: Map<string, MeterAudit>;
  /** Every key that signs or ever signed for a meter. */
  taken: Set<string>;
  prices: SetPrice[];
  /** As the entry in hand finds it. */
  calendar: Calendar | null;
  report: EntriesReport;
}

export interface Work extends EntryContext, Knowledge {
  months: MonthsAudit;
  /** Some entries were read by an earlier audit. */
  isResumed: boolean;
}

/** What the projections need of an entry that holds, beside itself. */
export type Material = Omit<Applied, 'index' | 'entry'>;

/** Throws LedgerError `blob-missing`, `blob-differs`. */
export async function needBlob(work: Work, hash: Uint8Array): Promise<Uint8Array> {
  const bytes = await readBlob(work, hash);
  if (bytes === null) {
    work.report.blobs.missing++;
    throw doubt('blob-missing', `blob ${hex(hash)}`, 'none');
  }
  work.report.blobs.disclosed++;
  return bytes;
}

/**
 * Null for a blob that is not public. Throws LedgerError `blob-differs`, and `shown-late` for one that
 * an earlier audit did not find, and built upon.
 */
export async function readBlob(work: Work, hash: Uint8Array): Promise<Uint8Array | null> {
  const { isResumed, report: { referenced } } = work;
  const bytes = await work.blob(hash);
  const wasAbsent = referenced.get(hex(hash)) === false;
  if (isResumed && wasAbsent && bytes !== null) throw shownLate(hex(hash));
  referenced.set(hex(hash), bytes !== null);
  if (bytes !== null && !equal(sha256(bytes), hash)) {
    throw doubt('blob-differs', `bytes that hash to ${hex(hash)}`, hex(sha256(bytes)));
  }
  return bytes;
}

/** An earlier audit built upon this blob's absence: the log is to be read again from its beginning. */
export function shownLate(got: string, cause?: unknown): LedgerError {
  return new LedgerError({ code: 'shown-late', message: 'Audit begins anew', got, cause });
}

/** What does not hold, for the report: a code, what was expected and what the log has. */
export function doubt(code: string, expected: string, got: string): LedgerError {
  return new LedgerError({ code, message: 'Audit', expected, got });
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
