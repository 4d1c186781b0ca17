// Scales: which windows a page offers, how finely a window is cut, and where an axis has its ticks.
// Pure.

import type { MeterRow } from '../ask/schema.ts';
import { edgesOf, stepStart } from '../ask/steps.ts';
import { PUBLISH } from '../publish.ts';
import { clockText, dayText, monthText } from './format.ts';

export const WINDOWS = {
  '2h': { text: '2 hours', lengthS: 7200 },
  day: { text: 'Day', lengthS: 86_400 },
  week: { text: 'Week', lengthS: 7 * 86_400 },
  month: { text: 'Month', lengthS: 30 * 86_400 },
  year: { text: 'Year', lengthS: 365 * 86_400 },
} as const;
export type WindowName = keyof typeof WINDOWS;

export type PlotStep = number | 'month';

/** Steps that people count in. */
const LADDER_S = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];
const TICKS_S = [...LADDER_S, 172_800, 345_600, 604_800, 1_209_600];
/** What a phone's width can tell apart. */
const MOST_BARS = 62;
/** A bar a day, for a month. */
export const FEWER_BARS = 31;
const MOST_STEPS = 366;
const MOST_TICKS = 10;

export interface PlotWindow {
  name: WindowName;
  fromS: number;
  toS: number;
  /** For lines, and for bars. */
  fine: PlotStep;
  coarse: PlotStep;
}

/** How finely a node's owner lets it be seen: the interval, or what its publication leaves. */
export function resolutionS({ publish, intervalS }: MeterRow): number {
  if (publish === PUBLISH.day) return 86_400;
  return publish === PUBLISH.hour ? Math.max(3600, intervalS) : intervalS;
}

/** The window's edges and steps; it starts no earlier than the node's account. */
export function plotWindow(
  name: WindowName, options: { nowS: number; lifeS: number; intervalS: number; bars?: number },
): PlotWindow {
  const earliestS = Math.max(options.nowS - WINDOWS[name].lengthS, options.lifeS);
  const spanS = Math.max(60, options.nowS - earliestS);
  const coarse = stepFor(spanS, options.bars ?? MOST_BARS, options.intervalS);
  const fromS = stepStart(earliestS, coarse);
  const toS = Math.max(options.nowS, fromS + 60);
  return { name, fromS, toS, fine: stepFor(spanS, MOST_STEPS, options.intervalS), coarse };
}

/** What a page shows unasked: a young node's whole life, an older one's last day. */
export function defaultWindow(ageS: number, stepS: number): WindowName {
  if (stepS >= 86_400) return 'month';
  return ageS <= WINDOWS['2h'].lengthS ? '2h' : 'day';
}

/** per hour, per 6 hours, per day */
export function perStep(step: PlotStep): string {
  if (step === 'month') return 'per month';
  const units: [number, string][] = [[86_400, 'day'], [3600, 'hour'], [60, 'minute']];
  const [size, unit] = units.find(([seconds]) => step % seconds === 0) ?? [1, 'second'];
  return step === size ? `per ${unit}` : `per ${step / size} ${unit}s`;
}

/** 0 and up to five round values, the last not below `max`: 1, 2 or 5 times 10^n apart. */
export function valueTicks(max: number, most = 4): number[] {
  const rough = Math.max(max, 1e-9) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((times) => power * times >= rough * 0.999999)!;
  const count = Math.max(1, Math.ceil(max / step - 1e-9));
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}

export interface TimeTick {
  atS: number;
  text: string;
  /** A time of day, which the page script may show in the reader's zone. */
  clock: boolean;
}

/** Round moments within a window, in UTC. */
export function timeTicks(fromS: number, toS: number): TimeTick[] {
  const spanS = toS - fromS;
  const stepS = TICKS_S.find((candidateS) => spanS / candidateS <= MOST_TICKS);
  const inner = edgesOf(fromS, toS, stepS ?? 'month').slice(1, -1);
  if (fromS === stepStart(fromS, stepS ?? 'month')) inner.unshift(fromS);
  const clock = spanS <= 2 * 86_400;
  const say = clock ? clockText : stepS === undefined ? monthText : dayText;
  return inner.map((atS) => ({ atS, clock, text: say(atS) }));
}

function stepFor(spanS: number, most: number, leastS: number): PlotStep {
  return LADDER_S.find((stepS) => stepS >= leastS && spanS / stepS <= most) ?? 'month';
}
