// `ledger audit`: what a stranger can find out about a log from its public files and a policy that
// the stranger already holds. Trusts nothing in the files; asks the ledger's operator nothing.

import { LedgerError } from '../errors.ts';
import { encodeBase64 } from '../log/base64.ts';
import type { Checkpoint } from '../log/checkpoint.ts';
import { parseCheckpoint } from '../log/checkpoint.ts';
import { EMPTY_EDGE } from '../log/edge.ts';
import { parseNote } from '../log/note.ts';
import type { Policy } from '../log/policy.ts';
import { verifyCheckpoint } from '../log/policy.ts';
import { equal } from '../log/tree.ts';
import { verifyHss } from '../verify/lms.ts';
import { emptyReport } from './entries.ts';
import type { KeptAudit } from './kept.ts';
import { lookAtAll, lookOn } from './look.ts';
import type { AuditReport, Finding } from './report.ts';
import type { PublicFiles } from './source.ts';
import { auditTree } from './tree.ts';
import type { EntriesReport, EntryContext } from './work.ts';

export interface AuditOptions {
  /** The keys that the auditor trusts; without it the log's key is nobody's. */
  policy?: Policy;
  /** Replaces the HSS/LMS check by one that remembers, say. */
  verify?: EntryContext['verify'];
  /** Another log: checkpoint, cosignatures, entries and tiles; what entries mean is not looked at. */
  structureOnly?: boolean;
  /** Goes on where an earlier audit of the log ended, or was broken off. */
  kept?: KeptAudit;
}

/** A log that grows faster than it can be looked at is told as it was seen the last time. */
const MOST_LOOKS = 3;

/** Audits a log. Throws only if it cannot look: what does not hold is in the report. */
export async function audit(files: PublicFiles, options: AuditOptions = {}): Promise<AuditReport> {
  let checkpoint = await files.read('checkpoint');
  for (let looks = 1; ; looks++) {
    const report = await auditAt(files, checkpoint, options);
    if (report.findings.length === 0 || looks === MOST_LOOKS) return report;
    // What an entry has changed since, as one that erases, is no fault of the log as it was.
    const now = await files.read('checkpoint');
    if (now === null || checkpoint === null || equal(now, checkpoint)) return report;
    checkpoint = now;
  }
}

async function auditAt(
  files: PublicFiles, checkpoint: Uint8Array | null, options: AuditOptions,
): Promise<AuditReport> {
  const { policy, verify = verifyHss, structureOnly = false, kept } = options;
  const findings: Finding[] = [];
  const head = readHead(checkpoint, policy, findings);
  if (head === undefined) return reportOf(undefined, emptyReport(), findings, policy);
  if (structureOnly) {
    const entries = await auditTree(files, head, { from: EMPTY_EDGE, findings });
    const unread = entries === null ? 0 : entries.length;
    return { ...reportOf(head, emptyReport(), findings, policy), unread };
  }
  const blob = (hash: Uint8Array): Promise<Uint8Array | null> => files.read(blobPath(hash));
  const look = { files, head, context: { origin: head.origin, blob, verify } };
  // A head that nobody may rely on is nothing to go on from.
  const isKept = kept !== undefined && findings.length === 0;
  const found = isKept ? await lookOn(look, kept) : await lookAtAll(look);
  return reportOf(head, found.report, [...findings, ...found.findings], policy);
}

interface HeadOfLog extends Checkpoint {
  cosignedBy: string[];
  note: Uint8Array;
}

function readHead(
  bytes: Uint8Array | null,
  policy: Policy | undefined,
  findings: Finding[],
): HeadOfLog | undefined {
  const where = 'checkpoint';
  if (bytes === null) {
    findings.push({ code: 'file-missing', where });
    return undefined;
  }
  const noteFinding = (error: unknown): void => {
    if (!(error instanceof LedgerError)) throw error;
    findings.push({ code: error.code, where, expected: error.expected, got: error.got });
  };
  try {
    if (policy !== undefined) return { ...verifyCheckpoint(bytes, policy), note: bytes };
  } catch (error) {
    noteFinding(error);
  }
  try {
    // Nobody vouches for it; see whether it is at least what its files say.
    return { ...parseCheckpoint(parseNote(bytes).text), cosignedBy: [], note: bytes };
  } catch (error) {
    if (policy === undefined) noteFinding(error);
    return undefined;
  }
}

function reportOf(
  head: HeadOfLog | undefined,
  { referenced: _, ...report }: EntriesReport,
  findings: Finding[],
  policy: Policy | undefined,
): AuditReport {
  const vouched = policy !== undefined;
  return {
    ok: vouched && findings.length === 0,
    vouched,
    unread: 0,
    origin: head?.origin ?? '',
    size: head?.size ?? 0,
    root: head === undefined ? '' : encodeBase64(head.root),
    cosignedBy: head?.cosignedBy ?? [],
    findings,
    ...report,
  };
}

function blobPath(hash: Uint8Array): string {
  return `blob/${Buffer.from(hash).toString('hex')}`;
}
