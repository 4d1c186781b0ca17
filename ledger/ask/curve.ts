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

export const COUNTERS = [
  'energyMicroWh', 'upS', 'downS', 'unknownS', 'wanInBytes', 'wanOutBytes',
] as const;
export type Counter = (typeof COUNTERS)[number];
export type Counters = Record<Counter, number>;

/** Counters at a moment; a record is one, and so is the moment of enrolment. */
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

/** What a span's own records say of it, beside the counters. */
export interface Within {
  /** How much of the span their intervals cover; the rest is only known by the counters. */
  coveredS: number;
  minMilliW: number | null;
  maxMilliW: number | null;
  diskUsedBytes: number | null;
}

/**
 * The spans between neighbouring `edgesS`, which rise. `at` tells the counters at an edge, `within`
 * what lies in a span that the meter saw.
 */
export function pointsBetween(
  edgesS: number[], at: (edgeS: number) => Counters,
  within: (span: Span) => Within = () => NOTHING_WITHIN,
): Point[] {
  const counters = edgesS.map((edgeS) => rounded(at(edgeS)));
  return edgesS.slice(1).map((endS, i) => (
    pointOf({ startS: edgesS[i], endS }, counters[i], counters[i + 1], within)
  ));
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
export function meterTimeS(
  { upS, downS, unknownS }: Pick<Counters, 'upS' | 'downS' | 'unknownS'>,
): number {
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

function pointOf(
  span: Span, from: Counters, to: Counters, within: (span: Span) => Within,
): Point {
  const rose = riseBetween(from, to);
  const wallS = span.endS - span.startS;
  const { upS, downS } = reachIn(rose, wallS);
  const ranS = meterTimeS(rose);
  const seen = ranS > 0;
  const own = seen ? within(span) : NOTHING_WITHIN;
  const covered = own.coveredS >= EXTREMES_COVER * ranS;
  return {
    ...span, upS, downS, unknownS: wallS - upS - downS,
    energyMicroWh: seen ? rose.energyMicroWh : null,
    meanMilliW: seen ? meanMilliW(rose.energyMicroWh, ranS) : null,
    minMilliW: covered ? own.minMilliW : null,
    maxMilliW: covered ? own.maxMilliW : null,
    wanInBytes: seen ? rose.wanInBytes : null,
    wanOutBytes: seen ? rose.wanOutBytes : null,
    diskUsedBytes: own.diskUsedBytes,
  };
}

/** Up and down in so long a time: a clock that was set back makes no day longer. */
export function reachIn(rose: Counters, wallS: number): { upS: number; downS: number } {
  const upS = Math.min(wallS, rose.upS);
  return { upS, downS: Math.min(wallS - upS, rose.downS) };
}

export const NOTHING_WITHIN: Within = {
  coveredS: 0, minMilliW: null, maxMilliW: null, diskUsedBytes: null,
};

/** Least and most are only told of a span that its own records cover, but for one lost in ten. */
const EXTREMES_COVER = 0.9;

/** What whole counters rose by. */
export function riseBetween(from: Counters, to: Counters): Counters {
  const rose = zeros();
  for (const name of COUNTERS) rose[name] = to[name] - from[name];
  return rose;
}

/** Rounded at the edges, so that neighbouring spans add up. */
export function rounded(counters: Counters): Counters {
  const whole = zeros();
  for (const name of COUNTERS) whole[name] = Math.round(counters[name]);
  return whole;
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

export function countersOf(mark: Counters): Counters {
  const counters = zeros();
  for (const name of COUNTERS) counters[name] = mark[name];
  return counters;
}

export function zeros(): Counters {
  return { energyMicroWh: 0, upS: 0, downS: 0, unknownS: 0, wanInBytes: 0, wanOutBytes: 0 };
}
