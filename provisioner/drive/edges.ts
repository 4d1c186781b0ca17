// The two ends of a drive, where firmware looks for something to boot: blank while anything between
// them is unproven, but for the page that says how far the writing is.

import { flush, laneMemory, writePages, type Medium } from './medium.ts';
import { encodeProgress, progressAtBytes, type WriteProgress } from './progress-page.ts';
import { edgeBytes } from './segments.ts';

/** Fills `head`, {@link edgeBytes} long, with what stands there while a drive is half written. */
export function blankHead(head: Uint8Array, progress?: WriteProgress): Uint8Array {
  head.fill(0);
  if (progress !== undefined) encodeProgress(head.subarray(progressAtBytes), progress);
  return head;
}

/** Zeros the first and the last MiB, and flushes: from here on nothing boots. */
export async function blankEdges(medium: Medium, progress?: WriteProgress): Promise<void> {
  await writePages(medium, blankHead(laneMemory(medium, 0, edgeBytes), progress), 0);
  const tail = laneMemory(medium, 1, edgeBytes).fill(0);
  await writePages(medium, tail, medium.sizeBytes - edgeBytes);
  await flush(medium);
}

/** From memory of its own: other lanes may be at work. */
export async function saveProgress(
  medium: Medium,
  page: Uint8Array,
  progress: WriteProgress,
): Promise<void> {
  await writePages(medium, encodeProgress(page, progress), progressAtBytes);
}
