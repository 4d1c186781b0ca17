// Gathers bytes that come in pieces of any size into large aligned blocks, and writes them while
// the next ones are being gathered. A few blocks are under way at once: memory stays bounded, and
// the source waits for the drive.

import { alignedMemory, blockBytes, writePages, type Medium } from './medium.ts';

const blocksInFlight = 4;
const zeros = Buffer.alloc(blockBytes);

export interface PageWriter {
  /** Pieces that follow on each other are joined; a jump must leave a page border on both sides. */
  append(bytes: Uint8Array, atBytes: number): Promise<void>;
  /** Returns when everything appended has been handed to the drive. @throws the first failure */
  finish(): Promise<void>;
}

export function createPageWriter(medium: Medium): PageWriter {
  const memory = alignedMemory(blocksInFlight * blockBytes);
  const pending: Promise<void>[] = new Array(blocksInFlight).fill(Promise.resolve());
  let slot = 0;
  let filled = 0;
  let startBytes = 0;

  const block = () => memory.subarray(slot * blockBytes, (slot + 1) * blockBytes);

  /** Sends the block off and waits until the next one is free. */
  async function send(): Promise<void> {
    if (filled === 0) return;
    const bytes = block().subarray(0, filled);
    const skip = medium.zeroed && zeros.subarray(0, filled).equals(bytes);
    const writing = skip ? Promise.resolve() : writePages(medium, bytes, startBytes);
    // Whoever awaits this slot later meets the failure; nobody might, if another fails first.
    writing.catch(() => {});
    pending[slot] = writing;
    slot = (slot + 1) % blocksInFlight;
    filled = 0;
    await pending[slot];
  }

  return {
    async append(bytes, atBytes) {
      if (atBytes !== startBytes + filled) await send();
      for (let taken = 0; taken < bytes.length; ) {
        if (filled === 0) startBytes = atBytes + taken;
        const piece = bytes.subarray(taken, taken + blockBytes - filled);
        block().set(piece, filled);
        filled += piece.length;
        taken += piece.length;
        if (filled === blockBytes) await send();
      }
    },
    async finish() {
      await send();
      await Promise.all(pending);
    },
  };
}
