// Plots as SVG made on the server: a frame with axes, and the layers drawn in it. Bars and gaps are
// placed in per cent, so that text never scales; lines are drawn in a stretched 1000 × 1000 plane.
// What is not known is hatched, never bridged. Pure: points in, markup out.

import { html } from 'hono/html';
import type { Html } from './format.ts';
import type { TimeTick } from './scale.ts';

export interface Axes {
  fromS: number;
  toS: number;
  /** Rising; the first is the plane's foot, the last its top. */
  values: { at: number; text: string }[];
  times: TimeTick[];
}

export interface Box {
  startS: number;
  endS: number;
}

export interface Stroke extends Box {
  value: number | null;
  min: number | null;
  max: number | null;
}

/** The frame: value labels to the left, times below, layers in the plane. */
export function plotFrame(
  axes: Axes, layers: Html[], options: { label: string; low?: boolean },
): Html {
  const low = options.low ? ' low' : '';
  return html`<div class="frame${low}" role="img" aria-label="${options.label}">
<svg class="values" aria-hidden="true">${axes.values.map((value) => valueLabel(axes, value))}</svg>
<svg class="plane" aria-hidden="true">${axes.values.map((value) => gridLine(axes, value))}
${layers}</svg>
<svg class="times" aria-hidden="true">${axes.times.map((tick, i) => timeLabel(axes, tick, i))}</svg>
</div>`;
}

/** Spans of which nothing is known. */
export function gapLayer(axes: Axes, gaps: Box[]): Html {
  return html`${gaps.map((gap) => html`
<rect class="gap" fill="url(#hatch)" x="${along(axes, gap.startS)}" y="0"
 width="${wide(axes, gap)}" height="100%"><title>no data</title></rect>`)}`;
}

/** A line of means, one step each, over the band from least to most; broken at every gap. */
export function strokeLayer(axes: Axes, strokes: Stroke[]): Html {
  const [x, y] = [scaleX(axes), scaleY(axes)];
  const known = strokes.filter((stroke) => stroke.value !== null);
  const banded = strokes.filter(({ min, max }) => min !== null && max !== null);
  const step = (fromS: number, value: number, toS: number): string =>
    `${x(fromS)} ${y(value)}H${x(toS)}`;
  const line = runsOf(known).map((run) => (
    `M${run.map(({ startS, endS, value }) => step(startS, value!, endS)).join('L')}`
  ));
  const band = runsOf(banded).map((run) => {
    const over = run.map(({ startS, endS, max }) => step(startS, max!, endS));
    const under = run.toReversed().map(({ startS, endS, min }) => step(endS, min!, startS));
    return `M${[...over, ...under].join('L')}Z`;
  });
  return html`
<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%">
<path class="band" d="${band.join('')}"/><path class="line" d="${line.join('')}"/></svg>`;
}

/** Bars from one value to another, in the class's colour. */
export function barLayer(
  axes: Axes, bars: (Box & { low: number; high: number })[], className: string,
): Html {
  return html`${bars.filter(({ low, high }) => high > low).map((bar) => html`
<rect class="${className}" x="${inset(axes, bar)}" y="${upward(axes, bar.high)}"
 width="${narrowed(axes, bar)}" height="${tall(axes, bar)}"/>`)}`;
}

/** Unseen boxes that show their text under a pointer. */
export function hintLayer(axes: Axes, hints: (Box & { text: string })[]): Html {
  return html`${hints.map((hint) => html`
<rect class="hint" x="${along(axes, hint.startS)}" y="0"
 width="${wide(axes, hint)}" height="100%"><title>${hint.text}</title></rect>`)}`;
}

/** The spans where `known` says no, neighbours joined. */
export function gapsOf<P extends Box>(points: P[], known: (point: P) => boolean): Box[] {
  return runsOf(points.filter((point) => !known(point)))
    .map((run) => ({ startS: run[0].startS, endS: run[run.length - 1].endS }));
}

/** A small line of the last day, for a card: decoration beside the figures. */
export function sparkline(strokes: Stroke[], box: Box): Html {
  const top = Math.max(1, ...strokes.map(({ value }) => value ?? 0)) * 1.1;
  const values = [{ at: 0, text: '' }, { at: top, text: '' }];
  const axes = { fromS: box.startS, toS: box.endS, values, times: [] };
  const gaps = gapsOf(strokes, ({ value }) => value !== null);
  const layers = [gapLayer(axes, gaps), strokeLayer(axes, strokes)];
  return html`<svg class="spark" aria-hidden="true">${layers}</svg>`;
}

/** The pattern that gaps are filled with; once in a page. */
export function plotPatterns(): Html {
  return html`<svg class="patterns" aria-hidden="true" width="0" height="0"><defs>
<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse"
 patternTransform="rotate(45)">
<line class="hatch" x1="0" x2="0" y1="0" y2="6"/></pattern></defs></svg>`;
}

function valueLabel(axes: Axes, { at, text }: { at: number; text: string }): Html {
  return html`<text x="100%" dx="-8" y="${upward(axes, at)}" dy="0.33em">${text}</text>`;
}

function gridLine(axes: Axes, { at }: { at: number }): Html {
  const y = upward(axes, at);
  return html`<line class="${at === 0 ? 'zero' : 'grid'}" x1="0" x2="100%" y1="${y}" y2="${y}"/>`;
}

function timeLabel(axes: Axes, { atS, text, clock }: TimeTick, index: number): Html {
  const x = along(axes, atS);
  const share = (atS - axes.fromS) / (axes.toS - axes.fromS);
  const anchor = share < 0.04 ? 'start' : share > 0.96 ? 'end' : 'middle';
  const local = clock ? html` data-clock="${atS}"` : '';
  const parity = index % 2 === 0 ? 'even' : 'odd';
  return html`<line class="tick" x1="${x}" x2="${x}" y1="0" y2="5"/>
<text class="${parity}" x="${x}" y="1.25rem" text-anchor="${anchor}"${local}>${text}</text>`;
}

/** Neighbours in time, as runs. */
function runsOf<P extends Box>(points: P[]): P[][] {
  const runs: P[][] = [];
  for (const point of points) {
    const run = runs.at(-1);
    if (run?.at(-1)?.endS === point.startS) run.push(point);
    else runs.push([point]);
  }
  return runs;
}

function scaleX({ fromS, toS }: Axes): (atS: number) => number {
  return (atS) => round(((atS - fromS) / (toS - fromS)) * 1000);
}

function scaleY({ values }: Axes): (value: number) => number {
  const [foot, top] = [values[0].at, values[values.length - 1].at];
  return (value) => round(1000 - ((value - foot) / (top - foot)) * 1000);
}

const along = (axes: Axes, atS: number): string => `${round(scaleX(axes)(atS) / 10)}%`;
const upward = (axes: Axes, value: number): string => `${round(scaleY(axes)(value) / 10)}%`;
const wide = (axes: Axes, { startS, endS }: Box): string =>
  `${round((scaleX(axes)(endS) - scaleX(axes)(startS)) / 10)}%`;
const tall = (axes: Axes, { low, high }: { low: number; high: number }): string =>
  `${round((scaleY(axes)(low) - scaleY(axes)(high)) / 10)}%`;

/** A tenth of each bar's width is left free on either side. */
const BAR_INSET = 0.1;

const inset = (axes: Axes, { startS, endS }: Box): string =>
  along(axes, startS + (endS - startS) * BAR_INSET);
const narrowed = (axes: Axes, { startS, endS }: Box): string => {
  const margin = (endS - startS) * BAR_INSET;
  return wide(axes, { startS: startS + margin, endS: endS - margin });
};

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
