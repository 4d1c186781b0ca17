// Waiting for something to become true in the world outside, with an end and a reason.

import { setTimeout as delay } from 'node:timers/promises';
import { KitError } from '../errors.ts';

export interface Wait<T> {
  /** What is waited for, as in "Waited 60 s for …". */
  what: string;
  withinMs: number;
  everyMs?: number;
  signal: AbortSignal;
  /** Undefined: not yet. A throw is an answer as well, and ends the waiting. */
  check: () => Promise<T | undefined> | T | undefined;
  /** What is so instead, for the error. */
  instead?: () => string;
}

/** @throws KitError `waited` when `withinMs` passed without it */
export async function until<T>(wait: Wait<T>): Promise<T> {
  const start = performance.now();
  for (;;) {
    wait.signal.throwIfAborted();
    const value = await wait.check();
    if (value !== undefined) return value;
    if (performance.now() - start > wait.withinMs) {
      throw new KitError({
        code: 'waited',
        message: `Waited ${Math.round(wait.withinMs / 1000)} s for ${wait.what}`,
        got: wait.instead?.(),
      });
    }
    await delay(wait.everyMs ?? 500, undefined, { signal: wait.signal });
  }
}
