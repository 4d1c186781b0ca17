// A meter's counters as a curve over time, and what any span of it amounts to. Records give the
// curve's marks; between two marks each counter rises evenly over the time that the meter ran, and
// stands still while it had no power. So every window's sums telescope to the counters themselves:
// a lost or merged record costs resolution, never totals. Pure; sums are whole, and rounded at the
// edges alone.
//
//     counter │                      ┌─ mark         before   pause    after
//             │              ●───────●               ●──────┐        ┌──●
//             │       ______/  paused                 ran on │ no power│ uptime of the new boot
//             └───────────────────────────► time

import type { RecordRow } from './schema.ts';

export const COUNTERS = [
  'energyMicroWh', 'upS', 'downS', 'unknownS', 'wanInBytes', 'wanOutBytes',
] as const;
export type Counter = (typeof COUNTERS)[number];
export type Counters = Record<Counter, number>;

/** Counters at a moment; a {@link RecordRow} is one, and so is the moment of enrolment. */
export interface Mark extends Counters {
  atS: number;
  bootId: number;
  uptimeS: number;
}

/** What a meter saw in a span of time. Null where it saw nothing: nothing is not zero. */
export interface Point {
  startS: number;
  endS: number;
  /** Measured: these three sum to the span's length, silence counted as unknown. */
  upS: number;
  downS: number;
  unknownS: number;
  /** Measured. */
  energyMicroWh: number | null;
  meanMilliW: number | null;
  minMilliW: number | null;
  maxMilliW: number | null;
  /** Claimed by the node. */
  wanInBytes: number | null;
  wanOutBytes: number | null;
  diskUsedBytes: number | null;
}

export interface Span {
  startS: number;
  endS: number;
}

/**
 * The spans between neighbouring `edgesS`, which rise. `marks` rise in time and reach one mark beyond
 * the edges on both sides where there is one; `records` are those whose power and disk may be shown.
 */
export function pointsBetween(marks: Mark[], records: RecordRow[], edgesS: number[]): Point[] {
  const points: Point[] = [];
  let at = 0;
  for (let i = 1; i < edgesS.length; i++) {
    const span = { startS: edgesS[i - 1], endS: edgesS[i] };
    while (at < records.length && records[at].atS <= span.startS) at++;
    const within: RecordRow[] = [];
    for (let j = at; j < records.length && records[j].startS < span.endS; j++) {
      if (records[j].atS > records[j].startS) within.push(records[j]);
    }
    points.push(pointOf(span, countersAt(marks, span.startS), countersAt(marks, span.endS), within));
  }
  return points;
}

/** The counters at a moment, as far as the marks on both sides tell; not yet whole. */
export function countersAt(marks: Mark[], atS: number): Counters {
  const next = firstAfter(marks, atS);
  const before = marks[next - 1];
  if (before === undefined) return marks.length === 0 ? zeros() : countersOf(marks[0]);
  const after = marks[next];
  if (after === undefined) return countersOf(before);
  const share = shareRun(before, after, atS);
  const counters = zeros();
  for (const name of COUNTERS) {
    counters[name] = before[name] + (after[name] - before[name]) * share;
  }
  return counters;
}

/**
 * The time between two marks in which the meter did not run, or null. It ran on after the first
 * mark until its power went, and has run for its uptime when it makes the second.
 */
export function pauseBetween(before: Mark, after: Mark): Span | null {
  const ranS = Math.max(0, meterTimeS(after) - meterTimeS(before));
  if (after.atS - before.atS <= ranS) return null;
  const ranAfterS = after.bootId === before.bootId ? ranS : Math.min(ranS, after.uptimeS);
  return { startS: before.atS + (ranS - ranAfterS), endS: after.atS - ranAfterS };
}

/** Mean power of an energy over a time: µWh ÷ s → mW. */
export function meanMilliW(energyMicroWh: number, overS: number): number | null {
  return overS > 0 ? Math.round((energyMicroWh * 3.6) / overS) : null;
}

/** Seconds that a meter has counted since it was first started. */
export function meterTimeS({ upS, downS, unknownS }: Counters): number {
  return upS + downS + unknownS;
}

/** The mark from which a meter's account starts: all counters at zero. */
export function zeroMark(atS: number): Mark {
  return { ...zeros(), atS, bootId: -1, uptimeS: 0 };
}

function shareRun(before: Mark, after: Mark, atS: number): number {
  const pause = pauseBetween(before, after) ?? { startS: after.atS, endS: after.atS };
  const ranS = pause.startS - before.atS + (after.atS - pause.endS);
  if (ranS <= 0) return 0;
  const untilPauseS = Math.min(atS, pause.startS) - before.atS;
  return (untilPauseS + Math.max(0, atS - pause.endS)) / ranS;
}

function pointOf(span: Span, from: Counters, to: Counters, within: RecordRow[]): Point {
  const rose = riseBetween(from, to);
  const wallS = span.endS - span.startS;
  const upS = Math.min(wallS, rose.upS);
  const downS = Math.min(wallS - upS, rose.downS);
  const ranS = meterTimeS(to) - meterTimeS(from);
  const covered = within.length > 0 && coveredS(span, within) >= EXTREMES_COVER * ranS;
  const ifSeen = <T>(value: T): T | null => (ranS > 0 ? value : null);
  return {
    ...span, upS, downS, unknownS: wallS - upS - downS,
    energyMicroWh: ifSeen(rose.energyMicroWh),
    meanMilliW: ifSeen(meanMilliW(to.energyMicroWh - from.energyMicroWh, ranS)),
    minMilliW: covered ? Math.min(...within.map((record) => record.minMilliW)) : null,
    maxMilliW: covered ? Math.max(...within.map((record) => record.maxMilliW)) : null,
    wanInBytes: ifSeen(rose.wanInBytes),
    wanOutBytes: ifSeen(rose.wanOutBytes),
    diskUsedBytes: within.at(-1)?.diskUsedBytes ?? null,
  };
}

/** Least and most are only told of a span that its own records cover, but for one lost in ten. */
const EXTREMES_COVER = 0.9;

function coveredS(span: Span, records: RecordRow[]): number {
  return records.reduce((sum, { startS, atS }) => (
    sum + Math.max(0, Math.min(atS, span.endS) - Math.max(startS, span.startS))
  ), 0);
}

/** What the counters rose by, rounded at both ends so that neighbouring spans add up. */
export function riseBetween(from: Counters, to: Counters): Counters {
  const rose = zeros();
  for (const name of COUNTERS) rose[name] = Math.round(to[name]) - Math.round(from[name]);
  return rose;
}

/** Index of the first mark later than `atS`, by bisection. */
function firstAfter(marks: Mark[], atS: number): number {
  let low = 0;
  let high = marks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (marks[middle].atS <= atS) low = middle + 1;
    else high = middle;
  }
  return low;
}

function countersOf(mark: Mark): Counters {
  const counters = zeros();
  for (const name of COUNTERS) counters[name] = mark[name];
  return counters;
}

function zeros(): Counters {
  return { energyMicroWh: 0, upS: 0, downS: 0, unknownS: 0, wanInBytes: 0, wanOutBytes: 0 };
}
