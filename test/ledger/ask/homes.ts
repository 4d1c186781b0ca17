// Homes for the tests of questions and pages: nodes that draw power, carry traffic, fall silent and
// come back, by seeded chance, told through real batches and the real projections. Signatures are
// zeros: who verifies them stands before the projections, not in them.

import { DatabaseSync } from 'node:sqlite';
import {
  ALG, emptyRecord, encodeHeader, encodePayload, encodeSign1, MAX_BATCH_BYTES,
} from '../../../firmware/wire.ts';
import type { IntervalRecord, Sink } from '../../../firmware/wire.ts';
import type { Entry } from '../../../ledger/entry.ts';
import { applyEntry, createProjections } from '../../../ledger/ask/project.ts';
import type { Applied, KitTerms } from '../../../ledger/ask/project.ts';

export interface Span {
  fromS: number;
  toS: number;
}

export interface Home {
  /** 16 hex digits. */
  meter: string;
  enrolledS: number;
  untilS: number;
  idleMilliW?: number;
  publish?: KitTerms['publish'];
  intervalS?: number;
  /** Records a batch; four are an hour. */
  batchRecords?: number;
  /** The node does not answer. */
  down?: Span[];
  /** The meter has no power. */
  off?: Span[];
  /** Batches cannot be delivered, and come later. */
  cutOff?: Span[];
}

export interface Told {
  records: IntervalRecord[];
  entries: Omit<Applied, 'index'>[];
}

/** Entries of all homes, in the order of their receipt, applied to tables in memory. */
export function settle(homes: Home[], seed = 1, others: Told['entries'] = []): DatabaseSync {
  const db = new DatabaseSync(':memory:');
  createProjections(db);
  applyAll(db, logOf(homes, seed, others));
  return db;
}

export function applyAll(db: DatabaseSync, entries: Applied[]): void {
  db.exec('BEGIN');
  for (const applied of entries) applyEntry(db, applied);
  db.exec('COMMIT');
}

/** The log of all homes, and of what else is told, by receipt. */
export function logOf(homes: Home[], seed = 1, others: Told['entries'] = []): Applied[] {
  return [...homes.flatMap((home, i) => tell(home, seed + i).entries), ...others]
    .sort((a, b) => a.entry.receivedMs - b.entry.receivedMs)
    .map((entry, index) => ({ index, ...entry }));
}

/** What one home's meter records, and how it reaches the ledger. */
export function tell(home: Home, seed: number): Told {
  const records = live(home, chance(seed));
  const meterId = new Uint8Array(Buffer.from(home.meter, 'hex'));
  const entries: Told['entries'] = [enrolment(home, meterId)];
  const size = home.batchRecords ?? 4;
  const starts = Array.from({ length: Math.ceil(records.length / size) }, (_, i) => i * size);
  const endsS = starts.map((i) => lastTimeS(records, Math.min(i + size, records.length) - 1));
  // Batches come in their order: one that no time is known of, with the first that has one; and a
  // meter that never learns the time is heard of in the end.
  const firstS = endsS.find((endS) => endS > 0) ?? home.untilS;
  for (const [at, i] of starts.entries()) {
    const batch = records.slice(i, i + size);
    const endS = endsS[at] || firstS;
    const receivedMs = deliveredS(home, endS) * 1000 + 1500;
    const entry: Entry = {
      type: 'batch-received', receivedMs, meterId, firstSeq: batch[0].firstSeq,
      lastSeq: batch[batch.length - 1].lastSeq, batchHash: new Uint8Array(32),
    };
    entries.push({ entry, blob: signed(meterId, batch) });
  }
  return { records, entries };
}

/** A batch's bytes, unsigned. */
export function signed(
  meterId: Uint8Array, records: IntervalRecord[], gaps: { firstSeq: number; lastSeq: number }[] = [],
): Uint8Array {
  const payload = written((out) => encodePayload(out, {
    meterId, records, gaps, previous: null, firmwareHash: new Uint8Array(32),
    successor: null,
  }));
  const header = written((out) => encodeHeader(out, ALG.hssLms, meterId));
  return written((out) => encodeSign1(out, header, payload, new Uint8Array(1000)));
}

/** Mulberry32: the same seed, the same home. */
export function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function enrolment(home: Home, meterId: Uint8Array): Told['entries'][number] {
  return {
    entry: {
      type: 'kit-enrolled', receivedMs: home.enrolledS * 1000, meterId,
      enrolmentHash: new Uint8Array(32),
    },
    blob: null,
    kit: {
      publish: home.publish ?? 1, assurance: 'virtual', intervalS: home.intervalS ?? 900,
      supplyEfficiencyPermille: 880, calibration: { id: 1 },
    },
  };
}

/** Minute by minute, closing a record at each interval's end. */
function live(home: Home, random: () => number): IntervalRecord[] {
  const intervalS = home.intervalS ?? 900;
  const minuteS = Math.min(60, intervalS);
  const records: IntervalRecord[] = [];
  const running = { ...emptyRecord(), bootId: 1, calibrationId: 1, minMilliW: Infinity };
  running.diskUsedBytes = 4_200_000_000;
  let intervalLeftS = intervalS;
  let [energyMilliJ, timeKnown, wasOff, load] = [0, false, false, 0.2];
  let intervalMilliJ = 0;
  for (let atS = home.enrolledS; atS + minuteS <= home.untilS; atS += minuteS) {
    if (isIn(home.off, atS)) {
      wasOff = true;
      continue;
    }
    if (wasOff) {
      [wasOff, timeKnown, intervalLeftS] = [false, false, intervalS];
      Object.assign(running, { bootId: running.bootId + 1, uptimeS: 0, flags: 16 });
    }
    const hour = ((atS / 3600) % 24 + 24) % 24;
    const evening = Math.exp(-((hour - 20) ** 2) / 14) + 0.35 * Math.exp(-((hour - 9) ** 2) / 8);
    load += (0.08 + 0.5 * evening - load) * 0.12 + (random() - 0.5) * 0.12;
    load = Math.min(1, Math.max(0.02, load));
    const up = !isIn(home.down, atS);
    const milliW = Math.round((home.idleMilliW ?? 4200) * (up ? 1 + 0.6 * load : 0.2));
    energyMilliJ += milliW * minuteS;
    intervalMilliJ += milliW * minuteS;
    running.energyMicroWh = Math.floor(energyMilliJ / 3.6);
    running.minMilliW = Math.min(running.minMilliW, Math.round(milliW * (0.94 + 0.03 * random())));
    running.maxMilliW = Math.max(running.maxMilliW, Math.round(milliW * (1.05 + 0.2 * random())));
    running.probesMade++;
    if (up) running.probesAnswered++;
    running[up ? 'upS' : 'downS'] += minuteS;
    running.uptimeS += minuteS;
    if (up) {
      running.wanInBytes += Math.round(load * minuteS * 42_000 * (0.6 + random()));
      running.wanOutBytes += Math.round(load * minuteS * 16_000 * (0.6 + random()));
      running.diskUsedBytes += Math.round(load * minuteS * 300 * random());
    }
    intervalLeftS -= minuteS;
    if (intervalLeftS > 0) continue;
    const seq = records.length + 1;
    records.push({
      ...running, firstSeq: seq, lastSeq: seq, unixS: timeKnown ? atS + minuteS : 0,
      timeState: timeKnown ? 2 : 0, meanMilliW: Math.round(intervalMilliJ / intervalS),
    });
    Object.assign(running, { minMilliW: Infinity, maxMilliW: 0, flags: 0 });
    [intervalLeftS, intervalMilliJ] = [intervalS, 0];
    // The first batch of a boot is acknowledged, and the acknowledgement carries the time.
    timeKnown ||= records.length % (home.batchRecords ?? 4) === 0 && !isIn(home.cutOff, atS);
  }
  return records;
}

/** The record's time as an observer would know it: its own, or one interval after the one before. */
function lastTimeS(records: IntervalRecord[], index: number): number {
  for (let i = index; i < records.length; i++) {
    const later = records[i];
    if (later.timeState === 0 || later.bootId !== records[index].bootId) continue;
    return later.unixS - (later.uptimeS - records[index].uptimeS);
  }
  return records.slice(0, index + 1).findLast(({ timeState }) => timeState > 0)?.unixS ?? 0;
}

function deliveredS(home: Home, atS: number): number {
  const cut = home.cutOff?.find(({ fromS, toS }) => atS >= fromS && atS < toS);
  return cut?.toS ?? atS;
}

function isIn(spans: Span[] | undefined, atS: number): boolean {
  return spans?.some(({ fromS, toS }) => atS >= fromS && atS < toS) ?? false;
}

function written(write: (out: Sink) => void): Uint8Array {
  const out: Sink = { bytes: new Uint8Array(MAX_BATCH_BYTES), at: 0 };
  write(out);
  return (out.bytes as Uint8Array).slice(0, out.at);
}
