// Answers "what do all nodes do together": whole UTC days from the totals that are kept as entries
// arrive, shorter steps from the nodes' own records.

import { COUNTERS, countersOf, meterTimeS, reachIn, zeros } from './curve.ts';
import type { Counters, Point } from './curve.ts';
import { readState, STATES } from './node.ts';
import type { NodeState } from './node.ts';
import type { Reader } from './read.ts';
import { DAY_S } from './schema.ts';
import type { MeterRow, TotalRow } from './schema.ts';
import { readSums } from './series.ts';
import { edgesOf, stepStart } from './steps.ts';

/** What all nodes did in a span; nulls where none is known to have run. */
export type CommonsPoint = Pick<
  Point,
  'startS' | 'endS' | 'upS' | 'downS' | 'unknownS' | 'energyMicroWh' | 'wanInBytes' | 'wanOutBytes'
>;

export interface CommonsNow {
  nodes: number;
  states: Record<NodeState, number>;
  /** Of those with a recent record; null where there is none. */
  powerMilliW: number | null;
  poweredNodes: number;
}

/** How the nodes are at this moment. */
export function readCommonsNow(reader: Reader, meters: MeterRow[], nowS: number): CommonsNow {
  const states = Object.fromEntries(STATES.map((state) => [state, 0])) as CommonsNow['states'];
  let [power, poweredNodes] = [0, 0];
  for (const meter of meters) {
    const { state, powerMilliW } = readState(reader, meter, nowS);
    states[state]++;
    if (powerMilliW === null) continue;
    power += powerMilliW;
    poweredNodes++;
  }
  const powerMilliW = poweredNodes === 0 ? null : power;
  return { nodes: meters.length, states, powerMilliW, poweredNodes };
}

/**
 * Whole UTC days or months that touch `fromS … toS`, up to now. Node-seconds: up, down and unknown
 * sum to the time that each node has been enrolled.
 */
export function readCommonsDays(
  reader: Reader, meters: MeterRow[],
  { fromS, toS, nowS, step }: { fromS: number; toS: number; nowS: number; step: 'day' | 'month' },
): CommonsPoint[] {
  const lifeS = Math.min(...meters.map((meter) => meter.lifeS));
  const firstS = stepStart(Math.max(fromS, lifeS), step);
  const lastS = Math.min(toS, nowS);
  if (firstS >= lastS) return [];
  const rows = reader.totals(firstS / DAY_S, Math.ceil(lastS / DAY_S));
  const edges = edgesOf(firstS, lastS, step);
  let at = 0;
  return edges.slice(1).map((endS, i) => {
    const startS = edges[i];
    const own: TotalRow[] = [];
    for (; at < rows.length && rows[at].day * DAY_S < endS; at++) own.push(rows[at]);
    return pointOf({ startS, endS }, own, meters);
  });
}

/** Shorter spans, node by node: for a commons that is younger than days. */
export function readCommonsSums(
  reader: Reader, meters: MeterRow[], edgesS: number[],
): CommonsPoint[] {
  const sums = edgesS.slice(1).map((): TotalRow => ({ day: 0, meters: 0, ...zeros() }));
  for (const meter of meters) {
    for (const [i, point] of readSums(reader, meter, edgesS).entries()) {
      if (point.energyMicroWh === null) continue;
      sums[i].meters++;
      const rose = countersOf(point as Counters);
      // A span may begin before the node did: it was up for no longer than it has lived.
      const own = { ...rose, ...reachIn(rose, overlap(point.startS, point.endS, meter.lifeS)) };
      for (const name of COUNTERS) sums[i][name] += own[name];
    }
  }
  return sums.map((sum, i) => pointOf({ startS: edgesS[i], endS: edgesS[i + 1] }, [sum], meters));
}

function pointOf(
  { startS, endS }: { startS: number; endS: number }, rows: TotalRow[], meters: MeterRow[],
): CommonsPoint {
  const sum: Counters = zeros();
  for (const row of rows) for (const name of COUNTERS) sum[name] += row[name];
  const wallS = meters.reduce((total, { lifeS }) => total + overlap(startS, endS, lifeS), 0);
  const { upS, downS, energyMicroWh, wanInBytes, wanOutBytes } = sum;
  const seen = meterTimeS(sum) > 0;
  return {
    startS, endS, upS, downS, unknownS: Math.max(0, wallS - upS - downS),
    energyMicroWh: seen ? energyMicroWh : null,
    wanInBytes: seen ? wanInBytes : null, wanOutBytes: seen ? wanOutBytes : null,
  };
}

function overlap(startS: number, endS: number, lifeS: number): number {
  return Math.max(0, endS - Math.max(startS, lifeS));
}
