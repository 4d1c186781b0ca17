// What the meter's power cuts cost: for each, the energy between the last running counters that its
// FRAM held whole and the cut. The meter cannot know it, and promises that it is two seconds' worth
// at most; taken from the chip's integral, what is left is the integral on the meter's own clock.

import { appendFileSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Truth } from '../virtual/truth.ts';

export interface Cuts {
  /** The meter's FRAM took a write that ends here. */
  kept(endAddress: number, atMs: number): void;
  /** Power comes back; `truth` is the chip's, which stood still meanwhile. */
  powerReturns(truth: Truth): void;
  /** Energy that each cut so far cost, µWh. */
  lostMicroWh(): number[];
}

/** Where the two copies of the running counters end: docs/journal.md, 0200, 220 bytes each. */
const RUNNING_ENDS = [0x2dc, 0x3dc];

/** @param dir the meter's folder: a journey that is killed cuts the meter's power as well */
export function openCuts(dir: string): Cuts {
  const keptPath = join(dir, 'kept-at');
  const lostPath = join(dir, 'lost-to-cuts');
  let keptAtMs = existsSync(keptPath) ? Number(readFileSync(keptPath, 'utf8')) : undefined;
  const lost = existsSync(lostPath)
    ? readFileSync(lostPath, 'utf8').trim().split('\n').map(Number)
    : [];
  const file = openSync(keptPath, keptAtMs === undefined ? 'w' : 'r+');
  return {
    kept(endAddress, atMs) {
      if (!RUNNING_ENDS.includes(endAddress)) return;
      keptAtMs = Math.round(atMs);
      // Thirteen digits until the year 2286: the same length each time.
      writeSync(file, String(keptAtMs), 0);
    },
    powerReturns(truth) {
      if (keptAtMs === undefined) return;
      const lostMicroWh = truth.energyMicroWh - truth.energyMicroWhAt(keptAtMs);
      lost.push(lostMicroWh);
      appendFileSync(lostPath, `${lostMicroWh}\n`);
    },
    lostMicroWh: () => lost,
  };
}
