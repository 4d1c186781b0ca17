// A meter's batches as the log has them: what follows what, whose signature each disclosed one
// bears, what is withheld, erased or missing, and when nothing came.

import type { BatchEntry } from '../entry.ts';
import { equal, sha256 } from '../log/tree.ts';
import { isDue } from '../publish.ts';
import type { Chosen } from '../publish.ts';
import type { SignedBatch } from '../verify/batch.ts';
import {
  checkContinuation, checkSuccessor, linksTo, NONE_SPENT, parseBatch, spentAfter,
} from '../verify/batch.ts';
import { doubt, hex, readBlob, shownLate } from './work.ts';
import type { LastBatch, Material, MeterAudit, Work } from './work.ts';

/** No batch for this many intervals is a silence: twice the usual hour of quarters, and some. */
const SILENT_INTERVALS = 10;

/** Reads a batch's entry. Throws LedgerError for what does not hold of it. */
export async function receive(
  work: Work,
  entry: BatchEntry,
  index: number,
): Promise<Material> {
  const { report, meters } = work;
  report.entries.batches++;
  const meter = meters.get(hex(entry.meterId));
  if (meter === undefined) throw doubt('batch', 'an enrolled meter', hex(entry.meterId));
  const { node, before } = meter;
  if (node.revoked) throw doubt('after-revocation', 'no batch under a revoked key', node.meter);
  if (node.retired) throw doubt('after-retirement', 'no batch of a retired meter', node.meter);
  if (before.nextSeq !== null && entry.firstSeq < before.nextSeq) {
    throw doubt('sequence', `from ${before.nextSeq}`, `${entry.firstSeq}`);
  }
  node.batches++;
  noteSilence(meter, entry.receivedMs);
  const next = { index, receivedMs: entry.receivedMs, publish: meter.publish };
  await lookAgain(work, meter, next);
  settle(work, meter, next);
  const previous = meter.last?.entry.batchHash ?? null;
  const last: LastBatch = {
    index, receivedMs: entry.receivedMs, namesKey: entry.type === 'key-succeeded',
    publish: meter.publish, entry, isAbsent: false, before, previous,
  };
  meter.last = last;
  meter.before = { ...before, nextSeq: entry.lastSeq + 1 };
  const bytes = await readBlob(work, entry.batchHash);
  if (entry.type === 'key-succeeded') {
    report.entries.succeeded++;
    if (bytes === null) follow(work, meter, entry.successor);
  }
  if (bytes === null) {
    last.isAbsent = true;
    // What is withheld may say that the meter's clock stepped back: only the counters go on.
    const record = before.record && { ...before.record, timeState: 0 };
    meter.before = { ...meter.before, record };
    return { blob: null };
  }
  node.disclosed++;
  report.blobs.disclosed++;
  try {
    showBatch(meter, checkBatch(work, meter, { last, bytes }));
    return { blob: bytes };
  } finally {
    // Whatever it is worth: what is amiss is told here, not once for each batch that follows.
    if (entry.type === 'key-succeeded') follow(work, meter, entry.successor);
  }
}

/**
 * Looks for the meter's last batch where it was absent and `next` makes it due: an audit that goes on
 * after days finds what was not due when it was here before. Throws LedgerError `shown-late` if it is
 * there and does not hold: what was built upon its absence must be judged anew.
 */
async function lookAgain(work: Work, meter: MeterAudit, next: Chosen): Promise<void> {
  const { last, node } = meter;
  const isOpen = work.isResumed && last?.isAbsent && !work.fates.has(last.index);
  if (!isOpen || !isDue(last, next)) return;
  const { index, entry: { batchHash } } = last;
  const bytes = await work.blob(batchHash);
  if (bytes === null) return;
  try {
    if (!equal(sha256(bytes), batchHash)) throw doubt('blob-differs', hex(batchHash), 'another');
    showBatch(meter, checkBatch(work, meter, { last, bytes }));
  } catch (cause) {
    throw shownLate(hex(batchHash), cause);
  }
  last.isAbsent = false;
  node.disclosed++;
  work.report.blobs.disclosed++;
  work.report.referenced.set(hex(batchHash), true);
  work.months.show(node.meter, index, bytes);
}

/** What the meter's last batch comes to; `next` is null at the log's end. */
function settle({ fates }: Work, meter: MeterAudit, next: Chosen | null): void {
  const { node, last, stillShown } = meter;
  if (last === null) return;
  const { index, entry, before } = last;
  const fate = fates.get(index);
  if (!last.isAbsent) {
    if (fate === 'erased') stillShown.push(index);
    return;
  }
  if (fate === 'erased') node.erased++;
  else if (fate === 'disclosed' || isDue(last, next)) node.missing.push(index);
  else node.withheld++;
  if (before.nextSeq !== null && entry.firstSeq > before.nextSeq) {
    node.unexplained.push({ firstSeq: before.nextSeq, lastSeq: entry.firstSeq - 1 });
  }
}

/** The next batch is the successor's to sign. */
function follow({ taken }: Work, meter: MeterAudit, successor: Uint8Array): void {
  taken.add(hex(successor));
  meter.keys.push(successor);
  meter.node.keys++;
  meter.before = { ...meter.before, q: NONE_SPENT };
}

/** Everything that a disclosed batch must be. */
function checkBatch(
  { verify, taken }: Work,
  meter: MeterAudit,
  { last: { entry, before, previous }, bytes }: { last: LastBatch; bytes: Uint8Array },
): SignedBatch {
  const batch = parseBatch(bytes);
  const { payload: { meterId, records } } = batch;
  if (!equal(meterId, entry.meterId)) throw doubt('batch', hex(entry.meterId), hex(meterId));
  if (!verify(meter.keys.at(-1)!, batch.message, batch.signature)) {
    throw doubt('signature', 'the meter’s signature', 'one that does not verify');
  }
  const [first, last] = [records[0].firstSeq, records[records.length - 1].lastSeq];
  if (first !== entry.firstSeq || last !== entry.lastSeq) {
    throw doubt('sequence', `${entry.firstSeq} to ${entry.lastSeq}`, `${first} to ${last}`);
  }
  if (!linksTo(batch, previous)) throw doubt('link', 'the hash of the batch before', 'another');
  checkContinuation(batch, before, Math.floor(entry.receivedMs / 1000));
  checkSuccessor(batch, (key) => taken.has(hex(key)));
  const [named, told] = [batch.payload.successor, entry.type === 'key-succeeded' && entry.successor];
  if (named === null ? told !== false : told === false || !equal(named, told)) {
    const [expected, got] = [told, named].map((key) => (key ? hex(key) : 'no next key'));
    throw doubt('successor', expected, got);
  }
  return batch;
}

function showBatch(meter: MeterAudit, batch: SignedBatch): void {
  const { records, gaps } = batch.payload;
  const record = records[records.length - 1];
  const { energyMicroWh, upS, downS, unknownS, wanInBytes, wanOutBytes, unixS, lastSeq } = record;
  meter.before = { ...meter.before, q: spentAfter(batch), record };
  meter.node.gaps.push(...gaps);
  meter.node.shown = {
    unixS, seq: lastSeq, kWh: energyMicroWh / 1e9, energyMicroWh, upS, downS, unknownS, wanInBytes,
    wanOutBytes,
  };
}

/** What can be said of a meter once the log has been read. */
export function concludeMeter(work: Work, meter: MeterAudit): void {
  const { report, findings, lastMs } = work;
  const { node, stillShown } = meter;
  settle(work, meter, null);
  for (const index of stillShown) {
    const got = 'a blob that is public still';
    findings.push({ code: 'not-erased', where: `entry ${index}`, expected: 'none', got });
  }
  report.blobs.withheld += node.withheld;
  report.blobs.erased += node.erased;
  report.blobs.missing += node.missing.length;
  for (const index of node.missing) {
    findings.push({ code: 'blob-missing', where: `entry ${index}`, expected: 'a disclosed batch' });
  }
  const heardMs = heardAtMs(meter);
  if (!node.revoked && !node.retired && lastMs - heardMs > silentAfterMs(meter)) {
    node.silences.push({ fromMs: heardMs, toMs: null });
  }
  report.nodes.push(node);
}

function noteSilence(meter: MeterAudit, receivedMs: number): void {
  const heardMs = heardAtMs(meter);
  if (receivedMs - heardMs > silentAfterMs(meter)) {
    meter.node.silences.push({ fromMs: heardMs, toMs: receivedMs });
  }
}

function heardAtMs({ last, node }: MeterAudit): number {
  return last?.receivedMs ?? node.enrolledMs;
}

function silentAfterMs({ enrolment }: MeterAudit): number {
  return SILENT_INTERVALS * enrolment.intervalS * 1_000;
}
