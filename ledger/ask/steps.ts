// Cuts a window of time into hours, days and months, all in UTC, or into plain seconds. Pure.

export const STEPS = ['hour', 'day', 'month', 'raw'] as const;
export type Step = (typeof STEPS)[number];

const HOUR_S = 3600;
const DAY_S = 86_400;

/**
 * The edges that cut `fromS … toS`: both ends, and every full step between them. The first and the
 * last span are therefore shorter where the window does not start or end on a step, and the sums of
 * the spans are the window's own.
 */
export function edgesOf(
  fromS: number, toS: number, step: 'hour' | 'day' | 'month' | number,
): number[] {
  const edges = [fromS];
  let at = stepStart(fromS, step);
  for (;;) {
    at = nextEdge(at, step);
    if (at >= toS) break;
    edges.push(at);
  }
  if (toS > fromS) edges.push(toS);
  return edges;
}

/** How many spans {@link edgesOf} would give at most; asked before they are made. */
export function countSpans(fromS: number, toS: number, step: 'hour' | 'day' | 'month'): number {
  const shortestS = { hour: HOUR_S, day: DAY_S, month: 28 * DAY_S }[step];
  return Math.ceil(Math.max(0, toS - fromS) / shortestS) + 1;
}

/** Start of the UTC day or month in which a moment lies. */
export function stepStart(atS: number, step: 'hour' | 'day' | 'month' | number): number {
  if (step !== 'month') return atS - (atS % secondsOf(step));
  const date = new Date(atS * 1000);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1) / 1000;
}

function nextEdge(atS: number, step: 'hour' | 'day' | 'month' | number): number {
  if (step !== 'month') return atS + secondsOf(step);
  const date = new Date(atS * 1000);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1) / 1000;
}

function secondsOf(step: 'hour' | 'day' | number): number {
  if (typeof step === 'number') return step;
  return step === 'hour' ? HOUR_S : DAY_S;
}
