// Answers "how is this node": its state in one word, its totals, and what is missing. Decides from
// rows and a moment; never takes silence for being up.

import { meterTimeS } from './curve.ts';
import type { Counters, Point } from './curve.ts';
import type { Reader } from './read.ts';
import type { MeterRow, RecordRow } from './schema.ts';
import { readSums } from './series.ts';

export const STATES = [
  /** Its probes were answered in the latest record. */
  'up',
  /** They were not. */
  'down',
  /** The meter could not tell. */
  'unknown',
  /** Batches arrive; nothing recent is published yet, or ever, as its owner chose. */
  'reporting',
  /** Nothing came for eight intervals or more. */
  'silent',
  /** Enrolled; no batch yet. */
  'new',
  /** Its key was revoked. */
  'revoked',
  /** Its volunteer took it out of service. */
  'retired',
] as const;
export type NodeState = (typeof STATES)[number];

/** Two hourly batches at the usual 15 minutes: one may be late, two are not there. */
const SILENT_AFTER_INTERVALS = 8;
/** What a page can show; older ones stay in the log. */
const MOST_MISSING = 50;

export interface NodeStatus {
  state: NodeState;
  /** When it became so, as far as published records tell. */
  sinceS: number | null;
  /** Mean power of the latest record, if that is recent. */
  powerMilliW: number | null;
  /** Everything since the node's account began; up, down and unknown sum to that time. */
  total: Point;
  /** As claimed in the latest published record. */
  diskUsedBytes: number | null;
  publishedUntilS: number | null;
}

export interface Missing {
  kind: 'silence' | 'meter-off' | 'gap';
  startS: number;
  /** Null while it lasts. */
  endS: number | null;
  /** The sequence numbers that the meter declared lost. */
  gap?: { firstSeq: number; lastSeq: number };
}

export function readStatus(reader: Reader, meter: MeterRow, nowS: number): NodeStatus {
  const { state, powerMilliW, last } = readState(reader, meter, nowS);
  const startS = meter.lifeS;
  return {
    state, powerMilliW, sinceS: sinceOf(reader, meter, state, last),
    total: readSums(reader, meter, [startS, Math.max(startS, nowS)])[0] ?? emptyPoint(startS),
    diskUsedBytes: last?.diskUsedBytes ?? null, publishedUntilS: last?.atS ?? null,
  };
}

/** The part of a node's status that its latest records tell alone. */
export function readState(
  reader: Reader, meter: MeterRow, nowS: number,
): Pick<NodeStatus, 'state' | 'powerMilliW'> & { last: RecordRow | null } {
  const [beforeLast, last] = lastTwo(reader.lastRecords(meter));
  const state = stateOf(meter, beforeLast, last, nowS);
  const current = state === 'up' || state === 'down' || state === 'unknown';
  return { state, powerMilliW: current && last !== null ? last.meanMilliW : null, last };
}

/** What is missing, latest first: the silence that lasts, times without power, declared gaps. */
export function readMissing(reader: Reader, meter: MeterRow, nowS: number): Missing[] {
  const pauses = reader.pauses(meter, MOST_MISSING)
    .map(({ startS, endS }): Missing => ({ kind: 'meter-off', startS, endS }));
  const gaps = reader.gaps(meter, MOST_MISSING)
    .map(({ firstSeq, lastSeq, startS, endS }): Missing => (
      { kind: 'gap', startS, endS, gap: { firstSeq, lastSeq } }
    ));
  const silence: Missing[] = isSilent(meter, nowS)
    ? [{ kind: 'silence', startS: Math.floor(meter.lastReceivedMs! / 1000), endS: null }]
    : [];
  const past = [...pauses, ...gaps].sort((a, b) => b.startS - a.startS);
  return [...silence, ...past].slice(0, MOST_MISSING);
}

/** The node's state in one word. */
export function stateOf(
  meter: MeterRow, beforeLast: RecordRow | null, last: RecordRow | null, nowS: number,
): NodeState {
  if (meter.revokedMs !== null) return 'revoked';
  if (meter.retiredMs !== null) return 'retired';
  if (meter.lastReceivedMs === null) return 'new';
  if (isSilent(meter, nowS)) return 'silent';
  if (last === null || nowS - last.atS > silentAfterS(meter)) return 'reporting';
  const upS = last.upS - (beforeLast?.upS ?? 0);
  const downS = last.downS - (beforeLast?.downS ?? 0);
  const unknownS = meterTimeS(last) - (beforeLast ? meterTimeS(beforeLast) : 0) - upS - downS;
  if (upS > downS && upS >= unknownS) return 'up';
  return downS >= unknownS && downS > 0 ? 'down' : 'unknown';
}

function isSilent(meter: MeterRow, nowS: number): boolean {
  if (meter.lastReceivedMs === null || hasEnded(meter)) return false;
  return nowS - Math.floor(meter.lastReceivedMs / 1000) > silentAfterS(meter);
}

/** Nothing more is taken from it: it cannot be silent. */
function hasEnded({ revokedMs, retiredMs }: MeterRow): boolean {
  return revokedMs !== null || retiredMs !== null;
}

function silentAfterS(meter: MeterRow): number {
  return SILENT_AFTER_INTERVALS * meter.intervalS;
}

function sinceOf(
  reader: Reader, meter: MeterRow, state: NodeState, last: RecordRow | null,
): number | null {
  if (state === 'new') return Math.floor(meter.enrolledMs / 1000);
  if (state === 'revoked') return Math.floor(meter.revokedMs! / 1000);
  if (state === 'retired') return Math.floor(meter.retiredMs! / 1000);
  if (state === 'silent') return Math.floor(meter.lastReceivedMs! / 1000);
  if (state === 'reporting' || last === null) return null;
  // The state has lasted while the other two durations have not grown.
  const others: Record<typeof state, (counters: Counters) => number> = {
    up: ({ downS, unknownS }) => downS + unknownS,
    down: ({ upS, unknownS }) => upS + unknownS,
    unknown: ({ upS, downS }) => upS + downS,
  };
  return reader.book(meter).firstOfLatest(last, others[state]).atS;
}

function lastTwo(records: RecordRow[]): [RecordRow | null, RecordRow | null] {
  return [records.at(-2) ?? null, records.at(-1) ?? null];
}

function emptyPoint(atS: number): Point {
  return {
    startS: atS, endS: atS, upS: 0, downS: 0, unknownS: 0, energyMicroWh: null, meanMilliW: null,
    minMilliW: null, maxMilliW: null, wanInBytes: null, wanOutBytes: null, diskUsedBytes: null,
  };
}
