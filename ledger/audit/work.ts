// What the judges of entries share: the state of an audit between two entries, the blobs that it
// may read, and how a doubt is raised. Judges nothing itself.

import type { Applied } from '../ask/project.ts';
import type { Calendar } from '../calendar.ts';
import { LedgerError } from '../errors.ts';
import { equal, sha256 } from '../log/tree.ts';
import type { Publish, PublishedBatch } from '../publish.ts';
import type { SetPrice } from '../tariff.ts';
import type { Before } from '../verify/batch.ts';
import type { Enrolment } from '../verify/enrolment.ts';
import type { AuditReport, Finding, NodeReport } from './report.ts';

export interface EntryContext {
  origin: string;
  /** A blob's bytes if it is disclosed, by hash. */
  blob(hash: Uint8Array): Promise<Uint8Array | null>;
  /** HSS/LMS; an auditor who looks again may remember answers. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  findings: Finding[];
}

export type EntriesReport = Pick<
  AuditReport,
  'volunteers' | 'entries' | 'blobs' | 'equivocations' | 'requests' | 'months' | 'nodes'
> & { referenced: Set<string> };

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
  batches: PublishedBatch[];
  absent: Set<number>;
  lastHash: Uint8Array | null;
  before: Before;
}

export interface Work extends EntryContext {
  volunteers: Set<string>;
  meters: Map<string, MeterAudit>;
  /** Every key that signs or ever signed for a meter. */
  taken: Set<string>;
  prices: SetPrice[];
  /** As the entry in hand finds it. */
  calendar: Calendar | null;
  report: EntriesReport;
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

/** Null for a blob that is not public. Throws LedgerError `blob-differs`. */
export async function readBlob(work: Work, hash: Uint8Array): Promise<Uint8Array | null> {
  work.report.referenced.add(hex(hash));
  const bytes = await work.blob(hash);
  if (bytes !== null && !equal(sha256(bytes), hash)) {
    throw doubt('blob-differs', `bytes that hash to ${hex(hash)}`, hex(sha256(bytes)));
  }
  return bytes;
}

/** What does not hold, for the report: a code, what was expected and what the log has. */
export function doubt(code: string, expected: string, got: string): LedgerError {
  return new LedgerError({ code, message: 'Audit', expected, got });
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
