// Answers "what did this node do from … to …": joins the reader's marks and records to the curve.

import { edgesOf } from './steps.ts';
import type { Step } from './steps.ts';
import { pointsBetween } from './curve.ts';
import type { Point } from './curve.ts';
import type { Reader } from './read.ts';
import type { MeterRow, RecordRow } from './schema.ts';

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
  const fromS = Math.max(options.fromS, meter.lifeS);
  const toS = Math.min(options.toS, options.nowS);
  if (fromS >= toS) return [];
  const book = reader.book(meter);
  const edges = options.step === 'raw'
    ? rawEdges(book.touching({ startS: fromS, endS: toS }), fromS, toS)
    : edgesOf(fromS, toS, options.step);
  return pointsBetween(edges, book.countersAt, book.within);
}

/** Sums alone, without extremes: reads a block or two an edge, however long the window. */
export function readSums(reader: Reader, meter: MeterRow, edgesS: number[]): Point[] {
  return pointsBetween(edgesS, reader.book(meter).countersAt);
}

/** Each record's own interval, and the spans between them that no record covers alone. */
function rawEdges(records: RecordRow[], fromS: number, toS: number): number[] {
  const edges = new Set([fromS, toS]);
  for (const { startS, atS: endS } of records) {
    if (startS > fromS) edges.add(startS);
    if (endS < toS) edges.add(endS);
  }
  return [...edges].sort((a, b) => a - b);
}
