// The truth's diary: the sensor's exact integral at each of its steps, appended to a file as
//
//   f64 LE Unix ms │ i64 LE steps of shunt × steps of bus × ms
//
// Energy at any moment between follows exactly, since the load is level between two entries. While
// the meter is without power the integral stands still: the meter is not there to measure.

import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { energyMicroWh, type TruthPoint } from './ina226.ts';

export interface Truth {
  /** Up to when. */
  atMs: number;
  /** Measured by the sensor since it was made. */
  energyMicroWh: number;
  /** The same at an earlier moment. */
  energyMicroWhAt(atMs: number): number;
}

export interface TruthDiary {
  last(): TruthPoint | undefined;
  add(point: TruthPoint): void;
  /** @param now the integral at this moment, which need not be in the diary */
  read(now: TruthPoint): Truth;
  close(): void;
}

const ENTRY_BYTES = 16;

export function openTruthDiary(path: string, shuntMicroOhm: number): TruthDiary {
  const points = existsSync(path) ? decode(readFileSync(path)) : [];
  const file = openSync(path, 'a');
  return {
    last: () => points.at(-1),
    add(point) {
      const entry = Buffer.alloc(ENTRY_BYTES);
      entry.writeDoubleLE(point.atMs, 0);
      entry.writeBigInt64LE(point.stepMs, 8);
      writeSync(file, entry);
      points.push(point);
    },
    read(now) {
      const all = [...points, now];
      return {
        atMs: now.atMs,
        energyMicroWh: energyMicroWh(now.stepMs, shuntMicroOhm),
        energyMicroWhAt: (atMs) => energyMicroWh(integralAt(all, atMs), shuntMicroOhm),
      };
    },
    close: () => closeSync(file),
  };
}

/** A last entry that a power cut of the bench tore is left out. */
function decode(bytes: Buffer): TruthPoint[] {
  const count = Math.floor(bytes.length / ENTRY_BYTES);
  return Array.from({ length: count }, (_, index) => ({
    atMs: bytes.readDoubleLE(index * ENTRY_BYTES),
    stepMs: bytes.readBigInt64LE(index * ENTRY_BYTES + 8),
  }));
}

function integralAt(points: TruthPoint[], atMs: number): bigint {
  const after = points.findIndex((point) => point.atMs >= atMs);
  if (after < 0) return points.at(-1)!.stepMs;
  const next = points[after]!;
  const before = points[after - 1];
  if (before === undefined || next.atMs === atMs) return next.stepMs;
  const [passedMs, wholeMs] = [BigInt(atMs - before.atMs), BigInt(next.atMs - before.atMs)];
  return before.stepMs + ((next.stepMs - before.stepMs) * passedMs) / wholeMs;
}
