// The trees of many test meters' keys, made on every core at once: a second each for a height of 10.

import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

/** What one thread makes: hash-tree-thread.ts. */
export interface Share {
  names: string[];
  height: 5 | 10;
}

/** @returns the tree of each name's first key, in their order */
export async function hashTrees(names: string[], height: 5 | 10): Promise<Uint8Array[][]> {
  const threads = Math.min(availableParallelism(), names.length);
  const shares = await Promise.all(Array.from({ length: threads }, async (_, thread) => {
    const workerData: Share = { names: names.filter((_, i) => i % threads === thread), height };
    const worker = new Worker(new URL('hash-tree-thread.ts', import.meta.url), { workerData });
    const [trees] = await once(worker, 'message') as [Uint8Array[][]];
    return trees;
  }));
  return names.map((_, i) => shares[i % threads][Math.floor(i / threads)]);
}
