// A meter's batches as the log has them: what follows what, whose signature each disclosed one
// bears, what is withheld, erased or missing, and when nothing came.

import type { BatchEntry } from '../entry.ts';
import type { Fate } from '../fate.ts';
import { equal } from '../log/tree.ts';
import { dueBatches } from '../publish.ts';
import type { Before, SignedBatch } from '../verify/batch.ts';
import {
  checkContinuation, checkSuccessor, linksTo, NONE_SPENT, parseBatch, spentAfter,
} from '../verify/batch.ts';
import { doubt, hex, readBlob } from './work.ts';
import type { Material, MeterAudit, Work } from './work.ts';

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
  const { node, before, lastHash } = meter;
  if (node.revoked) throw doubt('after-revocation', 'no batch under a revoked key', node.meter);
  if (node.retired) throw doubt('after-retirement', 'no batch of a retired meter', node.meter);
  if (before.nextSeq !== null && entry.firstSeq < before.nextSeq) {
    throw doubt('sequence', `from ${before.nextSeq}`, `${entry.firstSeq}`);
  }
  node.batches++;
  noteSilence(meter, entry.receivedMs);
  const namesKey = entry.type === 'key-succeeded';
  const { receivedMs } = entry;
  meter.batches.push({ index, receivedMs, namesKey, publish: meter.publish });
  meter.lastHash = entry.batchHash;
  meter.before = { ...before, nextSeq: entry.lastSeq + 1 };
  const bytes = await readBlob(work, entry.batchHash);
  if (entry.type === 'key-succeeded') {
    report.entries.succeeded++;
    if (bytes === null) follow(work, meter, entry.successor);
  }
  if (bytes === null) {
    meter.absent.add(index);
    // What is withheld may say that the meter's clock stepped back: only the counters go on.
    const record = before.record && { ...before.record, timeState: 0 };
    meter.before = { ...meter.before, record };
    if (before.nextSeq !== null && entry.firstSeq > before.nextSeq) {
      node.unexplained.push({ firstSeq: before.nextSeq, lastSeq: entry.firstSeq - 1 });
    }
    return { blob: null };
  }
  node.disclosed++;
  report.blobs.disclosed++;
  try {
    const batch = checkBatch(work, { entry, bytes, meter, lastHash, before });
    showBatch(meter, batch);
    return { blob: bytes };
  } finally {
    // Whatever it is worth: what is amiss is told here, not once for each batch that follows.
    if (entry.type === 'key-succeeded') follow(work, meter, entry.successor);
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
  { entry, bytes, meter, lastHash, before }: {
    entry: BatchEntry;
    bytes: Uint8Array;
    meter: MeterAudit;
    lastHash: Uint8Array | null;
    before: Before;
  },
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
  if (!linksTo(batch, lastHash)) throw doubt('link', 'the hash of the batch before', 'another');
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
export function concludeMeter(
  { report, findings }: Work,
  meter: MeterAudit,
  { lastMs, fates }: { lastMs: number; fates: ReadonlyMap<number, Fate> },
): void {
  const { node, batches, absent } = meter;
  const due = dueBatches(batches);
  const erased: number[] = [];
  for (const { index } of batches) {
    if (fates.get(index) === 'disclosed') due.add(index);
    if (fates.get(index) !== 'erased') continue;
    due.delete(index);
    erased.push(index);
  }
  for (const index of erased.filter((one) => !absent.has(one))) {
    const got = 'a blob that is public still';
    findings.push({ code: 'not-erased', where: `entry ${index}`, expected: 'none', got });
  }
  node.missing = [...absent].filter((index) => due.has(index));
  node.erased = erased.filter((index) => absent.has(index)).length;
  node.withheld = absent.size - node.missing.length - node.erased;
  report.blobs.withheld += node.withheld;
  report.blobs.erased += node.erased;
  report.blobs.missing += node.missing.length;
  for (const index of node.missing) {
    findings.push({ code: 'blob-missing', where: `entry ${index}`, expected: 'a disclosed batch' });
  }
  const heardMs = batches.at(-1)?.receivedMs ?? node.enrolledMs;
  if (!node.revoked && !node.retired && lastMs - heardMs > silentAfterMs(meter)) {
    node.silences.push({ fromMs: heardMs, toMs: null });
  }
  report.nodes.push(node);
}

function noteSilence(meter: MeterAudit, receivedMs: number): void {
  const heardMs = meter.batches.at(-1)?.receivedMs ?? meter.node.enrolledMs;
  if (receivedMs - heardMs > silentAfterMs(meter)) {
    meter.node.silences.push({ fromMs: heardMs, toMs: receivedMs });
  }
}

function silentAfterMs({ enrolment }: MeterAudit): number {
  return SILENT_INTERVALS * enrolment.intervalS * 1_000;
}
