// Proves what a drive holds: every extent that was written is read again and hashed.

import { createHash } from 'node:crypto';

import { KitError } from '../errors.ts';
import type { MappedRange } from './manifest.ts';
import { alignedMemory, blockBytes, readPages, type Medium } from './medium.ts';

/**
 * @param proofs on page borders
 * @throws KitError `drive-differs` at the first extent that reads otherwise than it was written
 */
export async function readBack(
  medium: Medium,
  proofs: MappedRange[],
  options: { onBytes: (sizeBytes: number) => void; signal?: AbortSignal },
): Promise<void> {
  const blocks = proofs.flatMap(cutIntoBlocks);
  const memory = [alignedMemory(blockBytes), alignedMemory(blockBytes)];
  const fetch = async (index: number): Promise<Uint8Array> => {
    const { sizeBytes, atBytes } = blocks[index];
    const into = memory[index % 2].subarray(0, sizeBytes);
    await readPages(medium, into, atBytes);
    return into;
  };

  let hash = createHash('sha256');
  // One block is read while the one before is hashed.
  let next = blocks.length > 0 ? fetch(0) : undefined;
  for (const [index, { proof, isLast, sizeBytes }] of blocks.entries()) {
    const bytes = await next!;
    options.signal?.throwIfAborted();
    next = index + 1 < blocks.length ? fetch(index + 1) : undefined;
    next?.catch(() => {}); // Met when it is awaited; should we throw first, it does not matter.
    hash.update(bytes);
    options.onBytes(sizeBytes);
    if (!isLast) continue;
    const found = hash.digest('hex');
    if (found !== proof.sha256) throw differs(medium, proof, found);
    hash = createHash('sha256');
  }
}

interface Block {
  proof: MappedRange;
  atBytes: number;
  sizeBytes: number;
  isLast: boolean;
}

function cutIntoBlocks(proof: MappedRange): Block[] {
  const count = Math.ceil(proof.sizeBytes / blockBytes);
  return Array.from({ length: count }, (_, index) => ({
    proof,
    atBytes: proof.offsetBytes + index * blockBytes,
    sizeBytes: Math.min(blockBytes, proof.sizeBytes - index * blockBytes),
    isLast: index === count - 1,
  }));
}

function differs(medium: Medium, proof: MappedRange, found: string): KitError {
  const end = proof.offsetBytes + proof.sizeBytes;
  return new KitError({
    code: 'drive-differs',
    message: `${medium.path} does not hold what was written to it`,
    expected: `SHA-256 ${proof.sha256} for bytes ${proof.offsetBytes} to ${end}`,
    got: found,
    hint: 'Try another port or reader; if it happens again, throw the drive away.',
  });
}
