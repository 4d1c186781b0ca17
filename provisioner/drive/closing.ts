// What makes a proven drive boot: the image's first MiB, and its end with the GPT's copy. Its very
// first page goes in last, when everything else has been read back; should that one not hold, the
// edges are the caller's to blank again.

import { KitError } from '../errors.ts';
import { sumBytes } from './blocks.ts';
import { pageBytes, type Extent } from './manifest.ts';
import { flush, laneMemory, readPages, writePages, type Medium } from './medium.ts';
import { progressAtBytes } from './progress-page.ts';
import { edgeBytes } from './segments.ts';
import type { ImageSource } from './source.ts';

const progressEnd = progressAtBytes + pageBytes;
/** What goes in last: the boot sector with the GPT's header, and the page that said "half written". */
const last: Extent[] = [
  { offsetBytes: progressAtBytes, sizeBytes: pageBytes },
  { offsetBytes: 0, sizeBytes: pageBytes },
];
const before: Extent[] = [
  { offsetBytes: pageBytes, sizeBytes: progressAtBytes - pageBytes },
  { offsetBytes: progressEnd, sizeBytes: edgeBytes - progressEnd },
];

/**
 * @returns how many bytes were written, and read back
 * @throws KitError `drive-differs`
 */
export async function closeDrive(medium: Medium, source: ImageSource): Promise<number> {
  const closing = source.segments.filter(({ place }) => place === 'closing');
  const tail = closing.filter(({ offsetBytes }) => offsetBytes >= edgeBytes);
  const head = laneMemory(medium, 0, edgeBytes).fill(0);
  for (const { offsetBytes, sizeBytes } of closing) {
    const end = offsetBytes + sizeBytes;
    if (end <= edgeBytes) await source.read(head.subarray(offsetBytes, end), offsetBytes);
  }
  for (const part of tail) {
    const bytes = laneMemory(medium, 1, part.sizeBytes);
    await source.read(bytes, part.offsetBytes);
    await writePages(medium, bytes, part.offsetBytes);
  }
  const partOf = ({ offsetBytes, sizeBytes }: Extent) =>
    head.subarray(offsetBytes, offsetBytes + sizeBytes);
  for (const part of before) await writePages(medium, partOf(part), part.offsetBytes);
  await flush(medium);
  for (const part of tail) {
    const wanted = laneMemory(medium, 1, part.sizeBytes);
    await source.read(wanted, part.offsetBytes);
    await compare(medium, wanted, part.offsetBytes);
  }
  for (const part of before) await compare(medium, partOf(part), part.offsetBytes);
  for (const part of last) await writePages(medium, partOf(part), part.offsetBytes);
  await flush(medium);
  for (const part of last) await compare(medium, partOf(part), part.offsetBytes);
  return edgeBytes + sumBytes(tail);
}

async function compare(medium: Medium, wanted: Uint8Array, atBytes: number): Promise<void> {
  const found = laneMemory(medium, 2, wanted.length);
  await readPages(medium, found, atBytes);
  const differing = wanted.findIndex((byte, index) => byte !== found[index]);
  if (differing === -1) return;
  throw new KitError({
    code: 'drive-differs',
    message: `${medium.path} does not hold what was written to it`,
    expected: `${wanted[differing]} at byte ${atBytes + differing}`,
    got: String(found[differing]),
    hint: 'Try another port or reader; if it happens again, throw the drive away.',
  });
}
