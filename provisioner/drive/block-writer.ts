// Writes blocks to a drive from wherever they come, several at once, and saves from time to time how
// far that is durable, so that an interrupted write can go on. The drive is never kept waiting for
// that: it is flushed while further blocks are under way.

import { blockBytes, cutBlocks, inLanes } from './blocks.ts';
import type { Clock } from './clock.ts';
import type { Extent } from './manifest.ts';
import { flush, laneMemory, writePages, type Medium } from './medium.ts';

export interface BlockWrite {
  medium: Medium;
  /** On page borders, ascending. */
  extents: Extent[];
  /** Fills `into` with what belongs at `atBytes`. */
  read: (into: Uint8Array, atBytes: number) => Promise<void>;
  onBytes: (sizeBytes: number) => void;
  signal?: AbortSignal;
}

export interface Saving {
  clock: Clock;
  /** What an interruption may cost: this much time's writing, and as much again while it is saved. */
  everyMs: number;
  /** All before `untilBytes` is on the drive for sure. */
  save: (untilBytes: number) => Promise<void>;
}

const zeros = Buffer.alloc(blockBytes);

/** Hands all blocks to the drive; flushing the last is the caller's. */
export async function writeBlocks(job: BlockWrite): Promise<void> {
  const writeOne = createBlockMover(job);
  await inLanes(cutBlocks(job.extents), (block, _index, lane) => writeOne(block, lane));
}

/**
 * The same, saving as it goes; stopped by `signal`, it flushes and saves what it has.
 * @throws the first failure, of writing or of saving
 */
export async function writeBlocksSaving(job: BlockWrite, saving: Saving): Promise<void> {
  const writeOne = createBlockMover(job);
  const blocks = cutBlocks(job.extents);
  const written = new Set<number>();
  let durable = 0;
  let savedAtMs = saving.clock.nowMs();
  let running: Promise<void> | undefined;

  async function save(): Promise<void> {
    let count = durable;
    while (written.delete(count)) count++;
    if (count === durable) return;
    await flush(job.medium);
    const { offsetBytes, sizeBytes } = blocks[count - 1];
    await saving.save(offsetBytes + sizeBytes);
    durable = count;
  }

  try {
    await inLanes(blocks, async (block, index, lane) => {
      await writeOne(block, lane);
      written.add(index);
      if (running !== undefined || saving.clock.nowMs() - savedAtMs < saving.everyMs) return;
      running = save().finally(() => {
        savedAtMs = saving.clock.nowMs();
        running = undefined;
      });
      await running; // This lane waits; the others go on.
    });
  } catch (error) {
    if (job.signal?.aborted) await save();
    throw error;
  }
}

function createBlockMover({ medium, read, onBytes, signal }: BlockWrite) {
  return async ({ offsetBytes, sizeBytes }: Extent, lane: number): Promise<void> => {
    signal?.throwIfAborted();
    const bytes = laneMemory(medium, lane, sizeBytes);
    await read(bytes, offsetBytes);
    const isThere = medium.zeroed && zeros.subarray(0, sizeBytes).equals(bytes);
    if (!isThere) await writePages(medium, bytes, offsetBytes);
    onBytes(sizeBytes);
  };
}
