// The three figures of a node, and the commons' one: points in, a captioned plot and its table out.

import { html } from 'hono/html';
import type { Point } from '../ask/curve.ts';
import {
  bytes, clockText, dayText, duration, energy, monthText, percent, utcText, watts,
} from './format.ts';
import type { Html } from './format.ts';
import { sourceMark } from './layout.ts';
import { barLayer, gapLayer, gapsOf, hintLayer, plotFrame, strokeLayer } from './plot.ts';
import type { Axes, Box, Stroke } from './plot.ts';
import { perStep, timeTicks, valueTicks } from './scale.ts';
import type { PlotWindow } from './scale.ts';

/** Mean power as a line over the band between least and most. */
export function powerFigure(window: PlotWindow, points: Point[]): Html {
  const top = Math.max(1000, ...points.map((point) => point.maxMilliW ?? point.meanMilliW ?? 0));
  const axes = axesOf(window, valueTicks(top), (milliW) => `${milliW / 1000} W`);
  const total = sumOf(points, (point) => point.energyMicroWh);
  const summary = total === null
    ? 'Nothing is known of this time.'
    : `${energy(total)} in all. The line is the mean of each step, the band reaches from least to`
      + ' most.';
  const frame = plotFrame(axes, [
    gapLayer(axes, gapsOf(points, ({ meanMilliW }) => meanMilliW !== null)),
    strokeLayer(axes, points.map(strokeOf)),
    hintLayer(axes, hintsOf(points, powerText)),
  ], { label: `Power over time. ${summary}` });
  return figure({ id: 'power', title: 'Power', source: 'measured', summary }, frame, tableOf(
    'Power', ['Mean', 'Least', 'Most', 'Energy'], points.map((point) => ({
      ...point, cells: [
        watts(point.meanMilliW), watts(point.minMilliW), watts(point.maxMilliW),
        energy(point.energyMicroWh),
      ],
    })),
  ));
}

/** Up, down and unknown as shares of each step. */
export function reachFigure(window: PlotWindow, points: Point[]): Html {
  const axes = axesOf(window, [0, 0.5, 1], (share) => `${share * 100} %`);
  const [upS, downS, unknownS] = (['upS', 'downS', 'unknownS'] as const)
    .map((name) => points.reduce((sum, point) => sum + point[name], 0));
  const summary = `Up ${duration(upS)}, down ${duration(downS)}, unknown ${duration(unknownS)}.`;
  const parts = points.map((point) => {
    const wallS = point.endS - point.startS;
    return { ...point, up: point.upS / wallS, down: point.downS / wallS };
  });
  const frame = plotFrame(axes, [
    gapLayer(axes, points.filter((point) => point.unknownS * 50 > point.endS - point.startS)),
    barLayer(axes, parts.map((part) => ({ ...part, low: 0, high: part.up })), 'up'),
    barLayer(axes, parts.map((part) => (
      { ...part, low: part.up, high: part.up + part.down }
    )), 'down'),
    hintLayer(axes, hintsOf(points, reachText)),
  ], { label: `Reachability over time. ${summary}`, low: true });
  const key = html`<ul class="key"><li class="up">up</li><li class="down">down</li></ul>`;
  const caption: Caption = { id: 'reach', title: 'Reachable', source: 'measured', summary, key };
  return figure(caption, frame, tableOf(
    'Reachability', ['Up', 'Down', 'Unknown'], points.map((point) => ({
      ...point, cells: [point.upS, point.downS, point.unknownS].map(duration),
    })),
  ));
}

/** Bytes in above the line, bytes out below it. */
export function trafficFigure(window: PlotWindow, points: Point[]): Html {
  const [most, least] = (['wanInBytes', 'wanOutBytes'] as const)
    .map((name) => Math.max(0, ...points.map((point) => point[name] ?? 0)));
  const step = valueTicks(Math.max(1000, most, least), 3)[1];
  const [above, below] = [most, least].map((value) => Math.max(1, Math.ceil(value / step)));
  const values = Array.from({ length: above + below + 1 }, (_, i) => (i - below) * step);
  const axes = axesOf(window, values, (value) => axisBytes(Math.abs(value)));
  const [wanIn, wanOut] = (['wanInBytes', 'wanOutBytes'] as const)
    .map((name) => sumOf(points, (point) => point[name]));
  const summary = wanIn === null
    ? 'Nothing is known of this time.'
    : `${bytes(wanIn)} in, ${bytes(wanOut)} out, beyond the home network;`
      + ` bars ${perStep(window.coarse)}.`;
  const frame = plotFrame(axes, [
    gapLayer(axes, gapsOf(points, ({ wanInBytes }) => wanInBytes !== null)),
    barLayer(axes, points.map((point) => (
      { ...point, low: 0, high: point.wanInBytes ?? 0 }
    )), 'in'),
    barLayer(axes, points.map((point) => (
      { ...point, low: -(point.wanOutBytes ?? 0), high: 0 }
    )), 'out'),
    hintLayer(axes, hintsOf(points, trafficText)),
  ], { label: `Traffic over time. ${summary}` });
  const key = html`<ul class="key"><li class="in">in</li><li class="out">out</li></ul>`;
  const caption: Caption = { id: 'traffic', title: 'Traffic', source: 'claimed', summary, key };
  return figure(caption, frame, tableOf(
    'Traffic', ['In', 'Out'], points.map((point) => ({
      ...point, cells: [bytes(point.wanInBytes), bytes(point.wanOutBytes)],
    })),
  ));
}

export interface EnergyBar extends Box {
  energyMicroWh: number | null;
}

/** The commons' energy, one bar a step. */
export function energyFigure(window: PlotWindow, bars: EnergyBar[]): Html {
  const top = Math.max(1000, ...bars.map((bar) => bar.energyMicroWh ?? 0));
  const axes = axesOf(window, valueTicks(top), axisEnergy);
  const total = sumOf(bars, (bar) => bar.energyMicroWh);
  const summary = total === null
    ? 'Nothing is known yet.'
    : `${energy(total)} since ${utcText(window.fromS)}; bars ${perStep(window.coarse)}.`;
  const frame = plotFrame(axes, [
    gapLayer(axes, gapsOf(bars, ({ energyMicroWh }) => energyMicroWh !== null)),
    barLayer(axes, bars.map((bar) => (
      { ...bar, low: 0, high: bar.energyMicroWh ?? 0 }
    )), 'energy'),
    hintLayer(axes, hintsOf(bars, (bar) => energy(bar.energyMicroWh))),
  ], { label: `Energy of all nodes over time. ${summary}` });
  return figure(
    { id: 'energy', title: 'Energy of all nodes', source: 'measured', summary }, frame,
    tableOf('Energy', ['Energy'], bars.map((bar) => (
      { ...bar, cells: [energy(bar.energyMicroWh)] }
    ))),
  );
}

export function strokeOf(point: Point): Stroke {
  return {
    startS: point.startS, endS: point.endS, value: point.meanMilliW, min: point.minMilliW,
    max: point.maxMilliW,
  };
}

interface Caption {
  id: string;
  title: string;
  source: 'measured' | 'claimed';
  summary: string;
  key?: Html;
}

function figure(caption: Caption, frame: Html, table: Html): Html {
  return html`<figure class="plot" id="${caption.id}">
<figcaption><h2>${caption.title} ${sourceMark(caption.source)}</h2>
<p>${caption.summary}</p>${caption.key ?? ''}</figcaption>
${frame}
${table}
</figure>`;
}

function axesOf(window: PlotWindow, values: number[], text: (value: number) => string): Axes {
  return {
    fromS: window.fromS, toS: window.toS, times: timeTicks(window.fromS, window.toS),
    values: values.map((at) => ({ at, text: text(at) })),
  };
}

/** The figure as a table, newest first, for those who read or copy rather than look. */
function tableOf(what: string, columns: string[], rows: (Box & { cells: string[] })[]): Html {
  const heads = ['From (UTC)', ...columns].map((head) => html`<th scope="col">${head}</th>`);
  const lines = rows.toReversed().map(({ startS, cells }) => html`
<tr><th scope="row">${dayText(startS)}, ${clockText(startS)}</th>
${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`);
  return html`<details><summary>${what} as a table</summary>
<div class="scroll" role="region" aria-label="${what} as a table" tabindex="0"><table>
<thead><tr>${heads}</tr></thead><tbody>${lines}</tbody>
</table></div></details>`;
}

function hintsOf<P extends Box>(
  points: P[], say: (point: P) => string,
): (Box & { text: string })[] {
  return points.map((point) => (
    { startS: point.startS, endS: point.endS, text: `${spanText(point)}: ${say(point)}` }
  ));
}

function powerText(point: Point): string {
  if (point.meanMilliW === null) return 'no data';
  const band = point.minMilliW === null
    ? ''
    : ` (${watts(point.minMilliW)} to ${watts(point.maxMilliW)})`;
  return `${watts(point.meanMilliW)}${band}`;
}

function reachText({ startS, endS, upS, downS, unknownS }: Point): string {
  const share = (seconds: number): string => percent(seconds / (endS - startS));
  return `up ${share(upS)}, down ${share(downS)}, unknown ${share(unknownS)}`;
}

function trafficText(point: Point): string {
  if (point.wanInBytes === null) return 'no data';
  return `${bytes(point.wanInBytes)} in, ${bytes(point.wanOutBytes)} out`;
}

function spanText({ startS, endS }: Box): string {
  if (endS - startS > 27 * 86_400) return monthText(startS);
  return `${dayText(startS)}, ${clockText(startS)} to ${clockText(endS)} UTC`;
}

function axisBytes(value: number): string {
  return value === 0 ? '0' : trimmed(bytes(value));
}

function axisEnergy(value: number): string {
  return value === 0 ? '0' : trimmed(energy(value));
}

/** 1.50 GB as 1.5 GB, 2.00 GB as 2 GB. */
function trimmed(text: string): string {
  const [figures, unit] = text.split(' ');
  return `${Number(figures)} ${unit}`;
}

function sumOf<P>(points: P[], value: (point: P) => number | null): number | null {
  const known = points.map(value).filter((part) => part !== null);
  return known.length === 0 ? null : known.reduce((sum, part) => sum + part, 0);
}

