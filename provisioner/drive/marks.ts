// Marks that find a drive which is smaller than it says: where they stand, and what is in them.
// Pure. A fake drive of R real bytes takes writes beyond R and either drops them, or puts them at
// the address modulo R (https://fight-flash-fraud.readthedocs.io describes both).
//
//   0        image                    S                                                D
//   │ head │ ███ ██████ mapped ██ ███ │      ▲        ▲        ▲        ▲       ▲     ▲│
//
// Dropped: whatever R is, the mark in the last page is gone. Wrapped: a mark at `a` lands on
// `a − R`. If that is in the blank head, it is seen at once; if it is in a mapped range, the image
// overwrites the mark (or the mark the image, when a write resumes). So for each R from S to D some
// mark must land on checked bytes: marks are placed so that no R is left out, or, on a drive so
// large that the budget does not reach, as few as can be, powers of two never.

import { createHash } from 'node:crypto';

import { pageBytes, type Extent } from './manifest.ts';
import { edgeBytes } from './segments.ts';

/**
 * Each costs a random write and two reads: cheap cards take up to a tenth of a second for one. This
 * many reach for 256 times the image's longest mapped range: some 32 GB at a Debian image's 128 MiB.
 */
export const maxMarks = 256;

export interface MarkPlan {
  /** Of the drive, as it says. */
  driveBytes: number;
  /** Of the image: no mark stands before its end. */
  imageBytes: number;
  /** The image's mapped ranges, ascending. */
  ranges: Extent[];
}

/**
 * Offsets of the marks, ascending, each a page of its own. The last lies in the last MiB, which is
 * to be blank: it is looked at once and then blanked; all others stay. None if the image fills the
 * drive.
 */
export function placeMarks(plan: MarkPlan): number[] {
  const endBytes = Math.floor(plan.driveBytes / pageBytes) * pageBytes;
  if (endBytes - pageBytes < plan.imageBytes) return [];
  const gapless = chooseMarks(plan, endBytes, false);
  const chosen = gapless.length < maxMarks ? gapless : chooseMarks(plan, endBytes, true);
  return [...new Set([...chosen, endBytes - pageBytes])].sort((a, b) => a - b);
}

/** What R may differ by: sectors, the smallest step in which drives are made. */
const sectorBytes = 512;
/** Of the last MiB only the one mark is there, and only for a moment. */
const shortest = edgeBytes + pageBytes;
/** Shorter ones find next to nothing, and there are hundreds of them. */
const usefulRuns = 32;

/**
 * At most {@link maxMarks} − 1. A shortfall is D − R. From small to large, each that nothing finds
 * yet gets a mark that lands on the start of the longest run of checked bytes in reach.
 * @param spread the budget does not reach for all: leave even gaps
 */
function chooseMarks(plan: MarkPlan, endBytes: number, spread: boolean): number[] {
  const runs = checkedRuns(plan.ranges);
  const largest = endBytes - plan.imageBytes;
  const marks: number[] = [];
  let found: Run[] = [[sectorBytes, shortest - sectorBytes]]; // By the mark in the last page.
  const add = (shortfall: number): void => {
    const inReach = runs.filter(([from]) => from <= shortfall - shortest);
    if (inReach.length === 0) return; // Nearer to the end than any mark may stay.
    const [from] = inReach.reduce((a, b) => (lengthOf(b) > lengthOf(a) ? b : a));
    const distance = Math.floor((shortfall - from) / pageBytes) * pageBytes;
    marks.push(endBytes - distance);
    found = merged([...found, ...runs.map((run) => foundAt(distance, run))]);
  };
  for (const power of powersBetween(plan.imageBytes, endBytes)) add(endBytes - power);
  let shortfall = shortest;
  while (marks.length < maxMarks - 1) {
    shortfall = firstMissing(found, shortfall);
    if (shortfall > largest) break;
    add(shortfall);
    if (!spread) continue;
    const even = (largest - shortfall) / (maxMarks - marks.length);
    shortfall += Math.floor(even / sectorBytes) * sectorBytes;
  }
  return marks;
}

/** Both borders included. */
type Run = [from: number, to: number];

function lengthOf([from, to]: Run): number {
  return to - from;
}

/** The shortfalls at which a mark this far from the end lands on the run, if only with a sector. */
function foundAt(distance: number, [from, to]: Run): Run {
  return [distance + from - pageBytes + sectorBytes, distance + to];
}

function firstMissing(found: Run[], shortfall: number): number {
  const run = found.find(([from, to]) => from <= shortfall && shortfall <= to);
  return run === undefined ? shortfall : run[1] + sectorBytes;
}

/** What is compared in the end: the mapped ranges; and the head, blank for as long as that lasts. */
function checkedRuns(ranges: Extent[]): Run[] {
  const head = { offsetBytes: 0, sizeBytes: edgeBytes };
  const runs = [head, ...ranges].map(({ offsetBytes, sizeBytes }): Run => {
    return [offsetBytes, offsetBytes + sizeBytes - sectorBytes];
  });
  const [first, ...others] = merged(runs);
  return [first, ...others.sort((a, b) => lengthOf(b) - lengthOf(a)).slice(0, usefulRuns)];
}

function merged(runs: Run[]): Run[] {
  const joined: Run[] = [];
  for (const [from, to] of runs.sort((a, b) => a[0] - b[0])) {
    const before = joined.at(-1);
    if (before !== undefined && from <= before[1] + sectorBytes) {
      before[1] = Math.max(before[1], to);
    } else joined.push([from, to]);
  }
  return joined;
}

function powersBetween(from: number, to: number): number[] {
  const powers = Array.from({ length: 53 }, (_, exponent) => 2 ** exponent);
  return powers.filter((power) => power >= from && power < to);
}

// What is in a mark:
//
//    0    8  "KIT MARK"
//    8    8  its offset on the drive, little-endian
//   16 4080  SHAKE256 over the run's seed and the offset: never there by chance, nor twice

const magic = 'KIT MARK';
const headerBytes = 16;

/** Fills `page`, which is {@link pageBytes} long. */
export function encodeMark(page: Uint8Array, seed: Uint8Array, atBytes: number): Uint8Array {
  const view = Buffer.from(page.buffer, page.byteOffset, pageBytes);
  view.write(magic, 0, 'latin1');
  view.writeBigUInt64LE(BigInt(atBytes), 8);
  const shake = createHash('shake256', { outputLength: pageBytes - headerBytes });
  view.set(shake.update(seed).update(view.subarray(0, headerBytes)).digest(), headerBytes);
  return page;
}

/** Where this page, a mark of the run with this seed, was meant to stand; undefined: it is none. */
export function decodeMark(page: Uint8Array, seed: Uint8Array): number | undefined {
  const view = Buffer.from(page.buffer, page.byteOffset, pageBytes);
  if (view.toString('latin1', 0, 8) !== magic) return undefined;
  const atBytes = Number(view.readBigUInt64LE(8));
  if (!Number.isSafeInteger(atBytes)) return undefined;
  const wanted = encodeMark(new Uint8Array(pageBytes), seed, atBytes);
  return view.equals(wanted) ? atBytes : undefined;
}
