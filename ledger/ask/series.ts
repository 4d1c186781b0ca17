// Answers "what did this node do from … to …": joins the reader's marks and records to the curve.

import { edgesOf } from './steps.ts';
import type { Step } from './steps.ts';
import { pointsBetween } from './curve.ts';
import type { Mark, Point } from './curve.ts';
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
  const { fromS, toS } = withinLife(reader, meter, options);
  if (fromS >= toS) return [];
  const records = reader.records(meter, fromS, toS);
  const marks = joinMarks(reader.marksAround(meter, [fromS, toS]), records);
  const edges = options.step === 'raw'
    ? rawEdges(records, fromS, toS)
    : edgesOf(fromS, toS, options.step);
  return pointsBetween(marks, records, edges);
}

/** Sums alone, without extremes: reads two marks an edge, however long the window. */
export function readSums(reader: Reader, meter: MeterRow, edgesS: number[]): Point[] {
  return pointsBetween(reader.marksAround(meter, edgesS), [], edgesS);
}

/** When the node's account begins: its enrolment, or its first record if that is older. */
export function startOfLife(reader: Reader, meter: MeterRow): number {
  return reader.marksAround(meter, [])[0].atS;
}

export function withinLife(
  reader: Reader, meter: MeterRow, { fromS, toS, nowS }: Window & { nowS: number },
): Window {
  return { fromS: Math.max(fromS, startOfLife(reader, meter)), toS: Math.min(toS, nowS) };
}

/** Each record's own interval, and the spans between them that no record covers alone. */
function rawEdges(records: RecordRow[], fromS: number, toS: number): number[] {
  const edges = new Set([fromS, toS]);
  for (const { startS, atS } of records) {
    if (startS > fromS) edges.add(startS);
    if (atS < toS) edges.add(atS);
  }
  return [...edges].sort((a, b) => a - b);
}

function joinMarks(outer: Mark[], records: RecordRow[]): Mark[] {
  if (records.length === 0) return outer;
  const [firstS, lastS] = [records[0].atS, records[records.length - 1].atS];
  return [
    ...outer.filter((mark) => mark.atS < firstS), ...records,
    ...outer.filter((mark) => mark.atS > lastS),
  ];
}
