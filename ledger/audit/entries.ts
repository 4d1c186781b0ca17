// What a log's entries claim, judged by the same functions as the ingest's: who admitted whom,
// whose signature, what follows what. Works from entries and disclosed blobs alone; what is
// withheld is counted, and what cannot be known without it is not guessed.

import { WireError } from '../../firmware/wire.ts';
import { termsOf } from '../ask/project.ts';
import type { Applied } from '../ask/project.ts';
import { closeMonths, firstCalendar, inZone, LATEST_MS } from '../calendar.ts';
import type { Calendar } from '../calendar.ts';
import type { BatchEntry, Entry, EntryOf, WishEntry } from '../entry.ts';
import { decodeEntry, isBatch, isWish } from '../entry.ts';
import { LedgerError } from '../errors.ts';
import type { Fate } from '../fate.ts';
import { fatesOf } from '../fate.ts';
import { equal, sha256 } from '../log/tree.ts';
import { dueBatches } from '../publish.ts';
import type { Publish, PublishedBatch } from '../publish.ts';
import { checkPrice, holdsFrom } from '../tariff.ts';
import type { SetPrice } from '../tariff.ts';
import type { Before, MeterSign1, SignedBatch } from '../verify/batch.ts';
import {
  checkContinuation, checkSuccessor, linksTo, NONE_SPENT, parseBatch, parseMeterSign1, spentAfter,
} from '../verify/batch.ts';
import type { Enrolment } from '../verify/enrolment.ts';
import { STATEMENT_Q, verifyEnrolment } from '../verify/enrolment.ts';
import { signatureIndex } from '../verify/lms.ts';
import { verifyPrice } from '../verify/price.ts';
import { verifyRequest } from '../verify/request.ts';
import type { Wish } from '../verify/request.ts';
import { openMonths } from './months.ts';
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
interface MeterAudit {
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

interface Work extends EntryContext {
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
type Material = Omit<Applied, 'index' | 'entry'>;

/** No batch for this many intervals is a silence: twice the usual hour of quarters, and some. */
const SILENT_INTERVALS = 10;

/** Reads every entry in order. */
export async function auditEntries(
  entries: readonly Uint8Array[],
  context: EntryContext,
): Promise<EntriesReport> {
  const work: Work = {
    ...context,
    volunteers: new Set(),
    meters: new Map(),
    taken: new Set(),
    prices: [],
    calendar: null,
    report: {
      volunteers: 0,
      entries: { enrolled: 0, batches: 0, succeeded: 0, revoked: 0, prices: 0 },
      blobs: { disclosed: 0, withheld: 0, erased: 0, missing: 0, unreferenced: 0 },
      equivocations: [],
      requests: [],
      months: null,
      nodes: [],
      referenced: new Set(),
    },
  };
  // A batch is read in the light of what was asked about it later.
  const fates = fatesOf(readable(entries));
  const months = openMonths();
  let lastMs = 0;
  for (const [index, bytes] of entries.entries()) {
    const where = `entry ${index}`;
    const holds = await findingsOf(work, where, async () => {
      const entry = decodeEntry(bytes);
      lastMs = checkTime(entry.receivedMs, lastMs);
      work.calendar = closeMonths(work.calendar ?? firstCalendar(lastMs), lastMs).calendar;
      months.grow({ index, entry, fate: fates.get(index), ...(await judge(work, entry, index)) });
    });
    if (!holds) months.pass(index, lastMs);
  }
  work.report.months = months.report();
  for (const meter of work.meters.values()) {
    Object.assign(meter.node, months.node(meter.node.meter));
    concludeMeter(work, meter, { lastMs, fates });
  }
  months.close();
  work.report.volunteers = work.volunteers.size;
  return work.report;
}

function checkTime(receivedMs: number, lastMs: number): number {
  if (receivedMs < lastMs) throw doubt('order', `time from ${lastMs}`, `${receivedMs}`);
  if (receivedMs > LATEST_MS) throw doubt('order', `time to ${LATEST_MS}`, `${receivedMs}`);
  return receivedMs;
}

/** Entries as they read; null for one that the audit will name. */
function* readable(entries: readonly Uint8Array[]): Iterable<Entry | null> {
  for (const bytes of entries) {
    try {
      yield decodeEntry(bytes);
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      yield null;
    }
  }
}

async function judge(work: Work, entry: Entry, index: number): Promise<Material> {
  if (entry.type === 'volunteer-admitted') return admit(work, entry);
  if (entry.type === 'kit-enrolled') return await enrol(work, entry);
  if (isBatch(entry)) return await receive(work, entry, index);
  if (entry.type === 'price-set') return await setPrice(work, entry, index);
  if (isWish(entry)) return await grant(work, entry, index);
  return await revoke(work, entry, index);
}

function admit({ volunteers }: Work, { key }: EntryOf<'volunteer-admitted'>): Material {
  if (volunteers.has(hex(key))) throw doubt('admitted-twice', 'a new volunteer', hex(key));
  volunteers.add(hex(key));
  return { blob: null };
}

async function enrol(work: Work, entry: EntryOf<'kit-enrolled'>): Promise<Material> {
  const { volunteers, meters, report, origin, verify } = work;
  const id = hex(entry.meterId);
  report.entries.enrolled++;
  const bytes = await needBlob(work, entry.enrolmentHash);
  const enrolment = verifyEnrolment(bytes, origin, verify);
  if (hex(enrolment.meterId) !== id) throw doubt('enrolment', id, hex(enrolment.meterId));
  if (!volunteers.has(hex(enrolment.volunteerKey))) {
    throw doubt('enrolment', 'a volunteer admitted before', hex(enrolment.volunteerKey));
  }
  if (meters.has(id) || work.taken.has(hex(enrolment.meterKey))) {
    throw doubt('enrolled-twice', 'a new meter', id);
  }
  work.taken.add(hex(enrolment.meterKey));
  const node: NodeReport = {
    meter: id, enrolledMs: entry.receivedMs, assurance: enrolment.assurance, revoked: false,
    keys: 1, batches: 0, disclosed: 0, withheld: 0, erased: 0, missing: [], gaps: [],
    unexplained: [], silences: [], shown: null, months: [], figuresUntilS: null,
  };
  const before = { nextSeq: null, q: STATEMENT_Q, record: null };
  const { publish, meterKey } = enrolment;
  const chosen = { publish, requestNumber: -1 };
  const rest = { keys: [meterKey], ...chosen, batches: [], absent: new Set<number>(), lastHash: null, before };
  meters.set(id, { enrolment, node, ...rest });
  return { blob: bytes, kit: termsOf(enrolment) };
}

async function setPrice(
  work: Work, { priceHash, receivedMs }: EntryOf<'price-set'>, index: number,
): Promise<Material> {
  const { report, volunteers, prices } = work;
  report.entries.prices++;
  const bytes = await needBlob(work, priceHash);
  const price = verifyPrice(bytes, work.origin);
  if (!volunteers.has(hex(price.volunteerKey))) {
    throw doubt('price', 'a volunteer admitted before', hex(price.volunteerKey));
  }
  if (prices.some(({ hash }) => equal(hash, priceHash))) {
    throw doubt('price', 'a new price', hex(priceHash));
  }
  const calendar = work.calendar!;
  checkPrice(price, { prices, calendar });
  prices.push({ ...price, fromS: holdsFrom(price, calendar), index, receivedMs });
  work.calendar = inZone(calendar, price.zone);
  return { blob: bytes, price };
}

async function receive(
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

/**
 * Both signatures are one of the meter's keys', both under one one-time key of it, and by the entry's form they
 * differ: even over one message, two of them let others sign a third.
 */
async function revoke(
  work: Work, entry: EntryOf<'key-revoked'>, index: number,
): Promise<Material> {
  const { meters, report, verify } = work;
  report.entries.revoked++;
  const meter = meters.get(hex(entry.meterId));
  if (meter === undefined) throw doubt('revocation', 'an enrolled meter', hex(entry.meterId));
  if (meter.node.revoked) throw doubt('revocation', 'a key in good standing', 'one revoked before');
  // Revoked, whatever the evidence is worth: later batches are refused, and said to be.
  meter.node.revoked = true;
  const signed: MeterSign1[] = [];
  for (const hash of entry.evidence) signed.push(parseMeterSign1(await needBlob(work, hash)));
  const indices = signed.map(({ signature }) => signatureIndex(signature));
  if (indices[0] === undefined || indices[0] !== indices[1]) {
    throw doubt('revocation', 'two signatures under one one-time key', indices.join(' and '));
  }
  // The newest first: a reuse is found when it happens, and hardly ever concerns a former key.
  const isReused = signed.every(({ meterId }) => equal(meterId, entry.meterId)) &&
    meter.keys.toReversed().some((key) =>
      signed.every(({ message, signature }) => verify(key, message, signature)));
  if (!isReused) throw doubt('revocation', 'signatures by one of the meter’s keys', 'others');
  report.equivocations.push({ meter: meter.node.meter, index, q: indices[0] });
  return { blob: null };
}

/** An owner's request, signed by the key that the enrolment names; or the operator's erasure. */
async function grant(work: Work, entry: WishEntry, index: number): Promise<Material> {
  const { meters, report } = work;
  const meter = meters.get(hex(entry.meterId));
  if (meter === undefined) throw doubt('request', 'an enrolled meter', hex(entry.meterId));
  const what = WHAT[entry.type];
  const by = entry.requestHash === null ? 'operator' : 'owner';
  report.requests.push({ meter: meter.node.meter, index, what, by });
  // Followed, whatever it is worth: what is amiss is told here, not once for each batch.
  if (entry.type === 'publication-changed') meter.publish = entry.publish;
  if (entry.requestHash === null) return { blob: null };
  const bytes = await needBlob(work, entry.requestHash);
  const request = verifyRequest(bytes, work.origin);
  const { ownerKey } = meter.enrolment;
  if (ownerKey === null || !equal(ownerKey, request.ownerKey)) {
    throw doubt('request', 'the owner’s signature', hex(request.ownerKey));
  }
  if (!equal(request.meterId, entry.meterId)) {
    throw doubt('request', meter.node.meter, hex(request.meterId));
  }
  if (request.number <= meter.requestNumber) {
    throw doubt('request', `a number above ${meter.requestNumber}`, `${request.number}`);
  }
  meter.requestNumber = request.number;
  const [asked, done] = [request.wish, wishOf(entry)].map((wish) => JSON.stringify(wish));
  if (asked !== done) throw doubt('request', asked, done);
  return { blob: null };
}

const WHAT = {
  'publication-changed': 'publish', 'batches-erased': 'erase', 'batches-disclosed': 'disclose',
} as const;

function wishOf(entry: WishEntry): Wish {
  return entry.type === 'publication-changed'
    ? { what: 'publish', publish: entry.publish }
    : { what: WHAT[entry.type], span: entry.span };
}

function concludeMeter(
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
  if (!node.revoked && lastMs - heardMs > silentAfterMs(meter)) {
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

async function needBlob(work: Work, hash: Uint8Array): Promise<Uint8Array> {
  const bytes = await readBlob(work, hash);
  if (bytes === null) {
    work.report.blobs.missing++;
    throw doubt('blob-missing', `blob ${hex(hash)}`, 'none');
  }
  work.report.blobs.disclosed++;
  return bytes;
}

async function readBlob(work: Work, hash: Uint8Array): Promise<Uint8Array | null> {
  work.report.referenced.add(hex(hash));
  const bytes = await work.blob(hash);
  if (bytes !== null && !equal(sha256(bytes), hash)) {
    throw doubt('blob-differs', `bytes that hash to ${hex(hash)}`, hex(sha256(bytes)));
  }
  return bytes;
}

/** Runs one check; what it throws of the log's making becomes a finding. True if none did. */
async function findingsOf(
  { findings }: Work,
  where: string,
  check: () => Promise<void>,
): Promise<boolean> {
  try {
    await check();
    return true;
  } catch (error) {
    findings.push(findingOf(error, where));
    return false;
  }
}

/** A refusal as a finding; an auditor's own failure (no network, no memory) is thrown on. */
function findingOf(error: unknown, where: string): Finding {
  if (error instanceof LedgerError) {
    const { code, expected, got } = error;
    return { code, where, expected, got };
  }
  if (error instanceof WireError) return { code: error.code, where, got: error.message };
  throw error;
}

function doubt(code: string, expected: string, got: string): LedgerError {
  return new LedgerError({ code, message: 'Audit', expected, got });
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

