// Extents cut into the blocks in which a drive is written and read, and the lanes that move several
// of them at once. Pure, but for the work that it is given.

import type { Extent } from './manifest.ts';

/** What is moved at once; larger gains nothing measurable on cards or disks. */
export const blockBytes = 1 << 20;

/**
 * How many blocks of a drive are under way at once: one is being filled or hashed, one is on its
 * way through the kernel, one is with the drive, and one waits, so that the drive never does.
 */
export const laneCount = 4;

/** In order; none is larger than {@link blockBytes}, none lies across a border of extents. */
export function cutBlocks(extents: Extent[]): Extent[] {
  return extents.flatMap(({ offsetBytes, sizeBytes }) =>
    Array.from({ length: Math.ceil(sizeBytes / blockBytes) }, (_, index) => ({
      offsetBytes: offsetBytes + index * blockBytes,
      sizeBytes: Math.min(blockBytes, sizeBytes - index * blockBytes),
    })),
  );
}

/**
 * Does `work` on each item, begun in order, as many at once as there are lanes. When it returns or
 * throws, none is under way any more: memory and descriptors may go.
 * @throws the first failure; nothing is begun after it
 */
export async function inLanes<T>(
  items: readonly T[],
  work: (item: T, index: number, lane: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failure: { error: unknown } | undefined;
  const run = async (lane: number): Promise<void> => {
    while (next < items.length && failure === undefined) {
      const index = next++;
      await work(items[index], index, lane).catch((error: unknown) => {
        failure ??= { error };
      });
    }
  };
  await Promise.all(Array.from({ length: laneCount }, (_, lane) => run(lane)));
  if (failure !== undefined) throw failure.error;
}

export function sumBytes(extents: Extent[]): number {
  return extents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
