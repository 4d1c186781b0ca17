// Gathers what arrives together and makes it durable together: one round of disk syncs for all who
// wait. While one pool is being committed the next gathers; a lone item waits `gatherMs` at most
// before its commit begins. Order in, order out.

import { createTurns } from './turns.ts';

export interface Pool<T> {
  /** Resolves when the item's pool is committed; rejects as the commit does. */
  add(item: T): Promise<void>;
  /** Runs work while nothing is being committed; commits wait for it. */
  between<R>(work: () => Promise<R>): Promise<R>;
  /** Resolves when nothing waits. */
  idle(): Promise<void>;
}

export interface PoolOptions<T> {
  commit(items: T[]): Promise<void>;
  /**
   * Runs once after a failed commit, in its turn, before those who waited hear of it. What is added
   * from its call on belongs to the state that it restores, and is committed like any other.
   */
  onFailure(error: unknown): Promise<void>;
  /** The ack may wait for this, then for the disk: DESIGN § 10 asks for 50 ms at most. */
  gatherMs?: number;
  maxItems?: number;
}

interface Waiting<T> {
  item: T;
  resolve: () => void;
  reject: (error: unknown) => void;
}

export function createPool<T>(options: PoolOptions<T>): Pool<T> {
  const { commit, onFailure, gatherMs = 5, maxItems = 256 } = options;
  let waiting: Waiting<T>[] = [];
  let running: Promise<void> | undefined;
  const inTurn = createTurns();

  const run = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, gatherMs));
    while (waiting.length > 0) {
      const pool = waiting.splice(0, maxItems);
      let concerned = pool;
      try {
        await inTurn(() => commit(pool.map(({ item }) => item)).catch(async (error) => {
          // What was gathered meanwhile was decided on a state that will not come to be.
          concerned = [...pool, ...waiting.splice(0)];
          // Still in turn: nobody else is at the stores while they are put right.
          await onFailure(error);
          throw error;
        }));
        for (const { resolve } of concerned) resolve();
      } catch (error) {
        for (const { reject } of concerned) reject(error);
      }
    }
    running = undefined;
  };
  return {
    add: (item) => new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      running ??= run();
    }),
    between: inTurn,
    async idle() {
      await running;
    },
  };
}
