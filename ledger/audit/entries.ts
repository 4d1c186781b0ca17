// What a log's entries claim, judged by the same functions as the ingest's: who admitted whom,
// whose signature, what follows what. Works from entries and disclosed blobs alone; what is
// withheld is counted, and what cannot be known without it is not guessed.

import { WireError } from '../../firmware/wire.ts';
import { termsOf } from '../ask/project.ts';
import { closeMonths, firstCalendar, inZone, LATEST_MS } from '../calendar.ts';
import type { Entry, EntryOf, WishEntry } from '../entry.ts';
import { decodeEntry, isBatch, isWish } from '../entry.ts';
import { LedgerError } from '../errors.ts';
import type { Fate } from '../fate.ts';
import { fatesOf } from '../fate.ts';
import { TILE_WIDTH } from '../log/tiles.ts';
import { equal } from '../log/tree.ts';
import { checkPrice, holdsFrom } from '../tariff.ts';
import type { MeterSign1 } from '../verify/batch.ts';
import { parseMeterSign1 } from '../verify/batch.ts';
import { STATEMENT_Q, verifyEnrolment } from '../verify/enrolment.ts';
import { signatureIndex } from '../verify/lms.ts';
import { verifyPrice } from '../verify/price.ts';
import { verifyRequest } from '../verify/request.ts';
import type { Wish } from '../verify/request.ts';
import { verifyRetirement } from '../verify/retirement.ts';
import { concludeMeter, receive } from './batches.ts';
import { openMonths } from './months.ts';
import type { Finding, NodeReport } from './report.ts';
import { doubt, hex, needBlob } from './work.ts';
import type { EntriesReport, EntryContext, Knowledge, Material, Work } from './work.ts';

/** What the entries of a log came to so far: enough to go on with the next, later. */
export interface SavedEntries {
  known: Knowledge;
  months: Uint8Array;
}

export interface EntriesAudit {
  /**
   * Reads entries in order; `firstIndex` is the first one's. Calls `onBundle` ahead of each bundle,
   * with the index of its first entry: an audit may be saved there.
   */
  read(
    entries: readonly Uint8Array[], firstIndex: number, onBundle: (index: number) => Promise<void>,
  ): Promise<void>;
  save(): SavedEntries;
  /** Ends it: what the log comes to if there is no more. */
  conclude(): { report: EntriesReport; findings: Finding[] };
}

/** Begins with a log's first entry; `entries` are all of them. */
export function beginEntries(context: EntryContext, entries: readonly Uint8Array[]): EntriesAudit {
  // A batch is read in the light of what was asked about it later.
  const fates = fatesOf(readable(entries));
  return entriesAudit({ ...context, ...knowNothing(fates), months: openMonths(null), isResumed: false });
}

/** Goes on where an earlier audit was; `context` looks at the same log. */
export function resumeEntries(context: EntryContext, { known, months }: SavedEntries): EntriesAudit {
  return entriesAudit({ ...context, ...known, months: openMonths(months), isResumed: true });
}

function entriesAudit(work: Work): EntriesAudit {
  const { months } = work;
  return {
    async read(entries, firstIndex, onBundle) {
      for (const [i, bytes] of entries.entries()) {
        const index = firstIndex + i;
        if (index % TILE_WIDTH === 0) await onBundle(index);
        const holds = await findingsOf(work, `entry ${index}`, async () => {
          const entry = decodeEntry(bytes);
          const lastMs = checkTime(entry.receivedMs, work.lastMs);
          work.lastMs = lastMs;
          work.calendar = closeMonths(work.calendar ?? firstCalendar(lastMs), lastMs).calendar;
          const fate = work.fates.get(index);
          months.grow({ index, entry, fate, ...(await judge(work, entry, index)) });
        });
        if (!holds) months.pass(index, work.lastMs);
      }
    },
    save() {
      const { lastMs, fates, findings, volunteers, meters, taken, prices, calendar, report } = work;
      return {
        known: { lastMs, fates, findings, volunteers, meters, taken, prices, calendar, report },
        months: months.save(),
      };
    },
    conclude() {
      const { report, findings, meters, volunteers } = work;
      report.months = months.report();
      for (const meter of meters.values()) {
        Object.assign(meter.node, months.node(meter.node.meter));
        concludeMeter(work, meter);
      }
      months.close();
      report.volunteers = volunteers.size;
      return { report, findings };
    },
  };
}

/** What an audit knows ahead of a log’s first entry. */
export function knowNothing(fates: Map<number, Fate>): Knowledge {
  return {
    lastMs: 0,
    fates,
    findings: [],
    volunteers: new Set(),
    meters: new Map(),
    taken: new Set(),
    prices: [],
    calendar: null,
    report: emptyReport(),
  };
}

/** Of a log without an entry. */
export function emptyReport(): EntriesReport {
  return {
    volunteers: 0,
    entries: { enrolled: 0, batches: 0, succeeded: 0, revoked: 0, retired: 0, prices: 0 },
    blobs: { disclosed: 0, withheld: 0, erased: 0, missing: 0, unreferenced: 0 },
    equivocations: [],
    requests: [],
    months: null,
    nodes: [],
    referenced: new Map(),
  };
}

function checkTime(receivedMs: number, lastMs: number): number {
  if (receivedMs < lastMs) throw doubt('order', `time from ${lastMs}`, `${receivedMs}`);
  if (receivedMs > LATEST_MS) throw doubt('order', `time to ${LATEST_MS}`, `${receivedMs}`);
  return receivedMs;
}

/** Whether one of the entries changes what became of batches before it. */
export function asksOfThePast(entries: readonly Uint8Array[]): boolean {
  return readable(entries).some((entry) => entry !== null && 'span' in entry);
}

/** Entries as they read; null for one that the audit will name. */
function* readable(entries: readonly Uint8Array[]): Generator<Entry | null> {
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
  if (entry.type === 'meter-retired') return await retire(work, entry);
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
    retired: false, keys: 1, batches: 0, disclosed: 0, withheld: 0, erased: 0, missing: [],
    gaps: [], unexplained: [], silences: [], shown: null, months: [], figuresUntilS: null,
  };
  const before = { nextSeq: null, q: STATEMENT_Q, record: null };
  const { publish, meterKey } = enrolment;
  const chosen = { publish, requestNumber: -1 };
  const read = { last: null, stillShown: [], before };
  meters.set(id, { enrolment, node, keys: [meterKey], ...chosen, ...read });
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

/**
 * Both signatures are one of the meter's keys', both under one one-time key of it, and by the
 * entry's form they differ: even over one message, two of them let others sign a third.
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

/** By the volunteer who enrolled the meter, once. */
async function retire(work: Work, entry: EntryOf<'meter-retired'>): Promise<Material> {
  const { meters, report, origin } = work;
  report.entries.retired++;
  const meter = meters.get(hex(entry.meterId));
  if (meter === undefined) throw doubt('retirement', 'an enrolled meter', hex(entry.meterId));
  if (meter.node.retired) throw doubt('retirement', 'a meter in service', 'one retired before');
  // Retired, whatever the paper is worth: later batches are refused, and said to be.
  meter.node.retired = true;
  const retirement = verifyRetirement(await needBlob(work, entry.retirementHash), origin);
  const { volunteerKey } = meter.enrolment;
  if (!equal(retirement.volunteerKey, volunteerKey)) {
    throw doubt('retirement', hex(volunteerKey), hex(retirement.volunteerKey));
  }
  if (!equal(retirement.meterId, entry.meterId)) {
    throw doubt('retirement', meter.node.meter, hex(retirement.meterId));
  }
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

/** A file that could not be asked for, and what an earlier audit built upon: neither is a finding. */
const NOT_OF_THE_LOG = new Set(['unreachable', 'shown-late']);

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
    if (error instanceof LedgerError && NOT_OF_THE_LOG.has(error.code)) throw error;
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
