// Answers "what did this node do from … to …": joins the reader's marks and records to the curve.

import { edgesOf } from './steps.ts';
import type { Step } from './steps.ts';
import { pointsBetween } from './curve.ts';
import type { Point, Span } from './curve.ts';
import type { Reader } from './read.ts';
import type { MeterRow } from './schema.ts';

export interface Window {
  fromS: number;
  toS: number;
}

/**
 * The node's points in a window, cut by step: whole hours, days or months (UTC), any number of
 * seconds, or as recorded. The window is first cut to the node's life: its enrolment … now.
 */
export function readSeries(
  reader: Reader, meter: MeterRow, options: Window & { step: Step | number; nowS: number },
): Point[] {
  const fromS = Math.max(options.fromS, startOfLife(reader, meter));
  const toS = Math.min(options.toS, options.nowS);
  if (fromS >= toS) return [];
  const edges = options.step === 'raw'
    ? rawEdges(reader.intervals(meter, fromS, toS), fromS, toS)
    : edgesOf(fromS, toS, options.step);
  const marks = reader.marksAround(meter, edges);
  return pointsBetween(marks, edges, (span) => reader.within(meter, span));
}

/** Sums alone, without extremes: reads two marks an edge, however long the window. */
export function readSums(reader: Reader, meter: MeterRow, edgesS: number[]): Point[] {
  return pointsBetween(reader.marksAround(meter, edgesS), edgesS);
}

/** When the node's account begins: its enrolment, or its first record if that is older. */
export function startOfLife(reader: Reader, meter: MeterRow): number {
  return reader.marksAround(meter, [])[0].atS;
}

/** Each record's own interval, and the spans between them that no record covers alone. */
function rawEdges(intervals: Span[], fromS: number, toS: number): number[] {
  const edges = new Set([fromS, toS]);
  for (const { startS, endS } of intervals) {
    if (startS > fromS) edges.add(startS);
    if (endS < toS) edges.add(endS);
  }
  return [...edges].sort((a, b) => a - b);
}
