// `ledger audit`: what a stranger can find out about a log from its public files and a policy that
// the stranger already holds. Trusts nothing in the files; asks the ledger's operator nothing.

import { LedgerError } from '../errors.ts';
import { encodeBase64 } from '../log/base64.ts';
import type { Checkpoint } from '../log/checkpoint.ts';
import { parseCheckpoint } from '../log/checkpoint.ts';
import { parseNote } from '../log/note.ts';
import type { Policy } from '../log/policy.ts';
import { verifyCheckpoint } from '../log/policy.ts';
import { sha256 } from '../log/tree.ts';
import { verifyHss } from '../verify/lms.ts';
import type { EntriesReport, EntryContext } from './work.ts';
import { auditEntries } from './entries.ts';
import type { AuditReport, Finding } from './report.ts';
import type { PublicFiles } from './source.ts';
import { auditTree } from './tree.ts';

export interface AuditOptions {
  /** The keys that the auditor trusts; without it the log's key is nobody's. */
  policy?: Policy;
  /** Replaces the HSS/LMS check by one that remembers, say. */
  verify?: EntryContext['verify'];
  /** Another log: checkpoint, cosignatures, entries and tiles; what entries mean is not looked at. */
  structureOnly?: boolean;
}

/** Audits a log. Throws only if it cannot look: what does not hold is in the report. */
export async function audit(files: PublicFiles, options: AuditOptions = {}): Promise<AuditReport> {
  const { policy, verify = verifyHss, structureOnly = false } = options;
  const findings: Finding[] = [];
  const head = await readHead(files, policy, findings);
  if (head === undefined) return reportOf(undefined, noEntries(), findings, policy);
  const entries = await auditTree(files, head, findings);
  if (structureOnly) {
    const unread = entries === null ? 0 : entries.length;
    return { ...reportOf(head, noEntries(), findings, policy), unread };
  }
  const blob = (hash: Uint8Array): Promise<Uint8Array | null> => files.read(blobPath(hash));
  const context = { origin: head.origin, blob, verify, findings };
  const report = entries === null ? noEntries() : await auditEntries(entries, context);
  await auditBlobNames(files, report, findings);
  return reportOf(head, report, findings, policy);
}

interface HeadOfLog extends Checkpoint {
  cosignedBy: string[];
}

async function readHead(
  files: PublicFiles,
  policy: Policy | undefined,
  findings: Finding[],
): Promise<HeadOfLog | undefined> {
  const where = 'checkpoint';
  const bytes = await files.read(where);
  if (bytes === null) {
    findings.push({ code: 'file-missing', where });
    return undefined;
  }
  const noteFinding = (error: unknown): void => {
    if (!(error instanceof LedgerError)) throw error;
    findings.push({ code: error.code, where, expected: error.expected, got: error.got });
  };
  try {
    if (policy !== undefined) return verifyCheckpoint(bytes, policy);
  } catch (error) {
    noteFinding(error);
  }
  try {
    // Nobody vouches for it; see whether it is at least what its files say.
    return { ...parseCheckpoint(parseNote(bytes).text), cosignedBy: [] };
  } catch (error) {
    if (policy === undefined) noteFinding(error);
    return undefined;
  }
}

/** Where the files can be listed: each blob is what its name says. */
async function auditBlobNames(
  files: PublicFiles,
  report: EntriesReport,
  findings: Finding[],
): Promise<void> {
  const paths = ((await files.list()) ?? []).filter((path) => path.startsWith('blob/'));
  for (const path of paths) {
    const name = path.slice('blob/'.length);
    if (report.referenced.has(name)) continue;
    const bytes = await files.read(path);
    const hash = bytes === null ? '' : Buffer.from(sha256(bytes)).toString('hex');
    if (hash !== name) findings.push({ code: 'stray-file', where: path });
    // Written for an entry that never came to be, as after a crash; nothing relies on it.
    else report.blobs.unreferenced++;
  }
}

function noEntries(): EntriesReport {
  return {
    volunteers: 0,
    entries: { enrolled: 0, batches: 0, succeeded: 0, revoked: 0, retired: 0, prices: 0 },
    blobs: { disclosed: 0, withheld: 0, erased: 0, missing: 0, unreferenced: 0 },
    equivocations: [],
    requests: [],
    months: null,
    nodes: [],
    referenced: new Set(),
  };
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
