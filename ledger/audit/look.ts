// One look at a log: its tree, then its entries, from the first one or from where an earlier look
// ended. Goes on only where that comes to the same as looking at all of it would; otherwise it begins
// anew, and says nothing of it.

import { LedgerError } from '../errors.ts';
import { encodeBase64 } from '../log/base64.ts';
import { EMPTY_EDGE, grow, rootOf } from '../log/edge.ts';
import { equal, sha256 } from '../log/tree.ts';
import type { TreeHead } from '../log/tree.ts';
import { asksOfThePast, beginEntries, emptyReport, resumeEntries } from './entries.ts';
import type { KeptAudit, KnownHead, Memory, Suspicion } from './kept.ts';
import type { Finding } from './report.ts';
import type { PublicFiles } from './source.ts';
import { auditTree } from './tree.ts';
import { shownLate } from './work.ts';
import type { EntriesReport, EntryContext } from './work.ts';

export interface Look {
  files: PublicFiles;
  head: KnownHead;
  context: EntryContext;
}

export interface Found {
  report: EntriesReport;
  findings: Finding[];
}

const NOTHING: Memory = { known: null, fork: null, progress: null };

/** Looks at all of a log, and keeps nothing. */
export async function lookAtAll(look: Look): Promise<Found> {
  return await lookFrom(look, NOTHING) as Found;
}

/** Looks at what is new since the last time, and keeps what it comes to. */
export async function lookOn(look: Look, kept: KeptAudit): Promise<Found> {
  const memory = await kept.read(look.context.origin);
  let found = suspicionOf(look.head, memory.known) ?? await lookFrom(look, memory, kept);
  if (found === 'stale') found = await lookFrom(look, { ...memory, progress: null }, kept);
  if (found === 'stale') throw new TypeError('nothing kept is stale');
  if (found === 'fork' || found === 'rollback') return await suspect(look, { kept, memory, kind: found });
  return memory.fork === null ? found : { ...found, findings: [memory.fork, ...found.findings] };
}

/** What the two signed heads show by themselves. */
function suspicionOf(head: TreeHead, known: TreeHead | null): Suspicion | undefined {
  if (known === null || head.size > known.size) return undefined;
  if (head.size < known.size) return 'rollback';
  return equal(head.root, known.root) ? undefined : 'fork';
}

/**
 * Keeps the two heads as evidence, and nothing else of what is shown now. An old checkpoint may be an
 * old copy's; two histories never are, and are told from then on.
 */
async function suspect(
  look: Look, { kept, memory, kind }: { kept: KeptAudit; memory: Memory; kind: Suspicion },
): Promise<Found> {
  const known = memory.known!;
  const file = await kept.keepEvidence(kind, known.note, look.head.note);
  const [expected, got] = [known, look.head].map(({ size, root }) =>
    `${size} entries, root ${encodeBase64(root)}`);
  const where = 'checkpoint';
  const finding = { code: kind, where, expected: `what continues ${expected}`, got: `${got}: ${file}` };
  if (kind === 'fork') await kept.write(look.context.origin, { ...memory, fork: memory.fork ?? finding });
  const { report, findings } = await lookAtAll(look);
  return { report, findings: [finding, ...findings] };
}

/** `stale`: what was kept is not what a look at all of the log would have come to. */
async function lookFrom(
  look: Look, memory: Memory, kept?: KeptAudit,
): Promise<Found | 'stale' | 'fork'> {
  try {
    return await read(look, memory, kept);
  } catch (error) {
    if (!(error instanceof LedgerError) || error.code !== 'shown-late') throw error;
    return 'stale';
  }
}

async function read(
  { files, head, context }: Look, memory: Memory, kept?: KeptAudit,
): Promise<Found | 'stale' | 'fork'> {
  const { known, fork, progress } = memory;
  const from = progress?.edge ?? EMPTY_EDGE;
  const structure: Finding[] = [];
  const entries = await auditTree(files, head, { from, findings: structure });
  if (progress !== null && structure.length > 0) return 'stale';
  if (entries === null) {
    const report = emptyReport();
    return { report, findings: [...structure, ...await auditBlobNames(files, report)] };
  }
  const edgeAt = (size: number, edge = from) =>
    grow(edge, entries.slice(edge.size - from.size, size - from.size)).edge;
  if (known !== null && !equal(rootOf(edgeAt(known.size)), known.root)) {
    return progress === null ? 'fork' : 'stale';
  }
  if (progress !== null && asksOfThePast(entries.slice(known!.size - from.size))) return 'stale';

  const audit = progress === null
    ? beginEntries(context, entries)
    : resumeEntries(context, progress.entries);
  let edge = from;
  const save = async (size: number): Promise<void> => {
    edge = edgeAt(size, edge);
    const next = { known: head, fork, progress: { edge, entries: audit.save() } };
    await kept?.write(context.origin, next);
  };
  // A log whose files contradict it is looked at whole each time.
  const isKept = kept !== undefined && structure.length === 0;
  // What was signed is remembered before anything else is done with it.
  if (isKept && known?.size !== head.size) await save(from.size);
  await audit.read(entries, from.size, async (index) => {
    if (isKept && kept.isDue()) await save(index);
  });
  // Concluding changes what was kept for the next entries.
  const ended = isKept ? structuredClone(audit.save()) : null;
  const { report, findings } = audit.conclude();
  const all = [
    ...structure, ...findings, ...await auditBlobNames(files, report, progress !== null),
  ];
  if (ended !== null) {
    // Whatever failed is looked at again: it may have been put right.
    const next = all.length > 0 ? null : { edge: edgeAt(head.size, edge), entries: ended };
    await kept!.write(context.origin, { known: head, fork, progress: next });
  }
  return { report, findings: all };
}

/**
 * Where the files can be listed: each blob is what its name says. Throws LedgerError `shown-late` for
 * one that an earlier audit did not find.
 */
async function auditBlobNames(
  files: PublicFiles, report: EntriesReport, isResumed = false,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const paths = ((await files.list()) ?? []).filter((path) => path.startsWith('blob/'));
  for (const path of paths) {
    const name = path.slice('blob/'.length);
    if (isResumed && report.referenced.get(name) === false) throw shownLate(name);
    if (report.referenced.has(name)) continue;
    const bytes = await files.read(path);
    const hash = bytes === null ? '' : Buffer.from(sha256(bytes)).toString('hex');
    if (hash !== name) findings.push({ code: 'stray-file', where: path });
    // Written for an entry that never came to be, as after a crash; nothing relies on it.
    else report.blobs.unreferenced++;
  }
  return findings;
}
