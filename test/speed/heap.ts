// What lies in the DeviceScript machine's heap: one chunk of blocks, one after the other, which are
// never moved (gc_alloc.c). Reads the memory of a machine that stands still; changes nothing.
//
//   chunk    next u32 ‖ end u32 ‖ block…       end: where the last block's word stands
//   block    size in words u24 ‖ tag u8 ‖ …    the tag's low four bits: what it is; 1: free

const WORD_BYTES = 4;
const CHUNK_HEAD_BYTES = 8;
const TAG_MASK = 0x0f;
const TAG_FREE = 1;
/** The mark after the last block, pinned. */
const TAG_FINAL = 0x4f;

export interface HeapBlock {
  at: number;
  sizeBytes: number;
  tag: number;
}

export interface HeapState {
  /** What the last collection left, and what was taken since. */
  takenBytes: number;
  /** The largest piece that is free. */
  largestFreeBytes: number;
}

export function heapState(memory: Uint8Array, heapBytes: number): HeapState {
  const state = { takenBytes: 0, largestFreeBytes: 0 };
  let freeBytes = 0;
  for (const { tag, sizeBytes } of heapBlocks(memory, heapBytes)) {
    freeBytes = tag === TAG_FREE ? freeBytes + sizeBytes : 0;
    if (tag !== TAG_FREE) state.takenBytes += sizeBytes;
    state.largestFreeBytes = Math.max(state.largestFreeBytes, freeBytes);
  }
  return state;
}

/** @param heapBytes what the machine was given */
export function heapBlocks(memory: Uint8Array, heapBytes: number): HeapBlock[] {
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  for (let chunk = 1024; chunk + heapBytes <= memory.byteLength; chunk += WORD_BYTES) {
    const end = view.getUint32(chunk + 4, true);
    if (end !== chunk + heapBytes - WORD_BYTES) continue;
    if (view.getUint32(end, true) >>> 24 !== TAG_FINAL) continue;
    return blocksBetween(view, chunk + CHUNK_HEAD_BYTES, end);
  }
  throw new Error('the machine’s heap is not where 2.16.4 has it');
}

function blocksBetween(view: DataView, start: number, end: number): HeapBlock[] {
  const blocks: HeapBlock[] = [];
  for (let at = start; at < end;) {
    const header = view.getUint32(at, true);
    const sizeBytes = (header & 0xffffff) * WORD_BYTES;
    if (sizeBytes === 0) throw new Error(`no block at ${at}`);
    blocks.push({ at, sizeBytes, tag: (header >>> 24) & TAG_MASK });
    at += sizeBytes;
  }
  return blocks;
}
