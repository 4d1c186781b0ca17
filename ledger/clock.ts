// What time the ledger believes it is. Real, or for try-outs a clock that runs faster from a given
// moment: at(realMs) = startMs + (realMs − realStartMs) × rate, shared with the meters of the
// try-out.

import { LedgerError } from './errors.ts';

export interface Clock {
  nowMs(): number;
  /** Seconds of this clock in a real second. */
  rate: number;
}

export const REAL_CLOCK: Clock = { nowMs: Date.now, rate: 1 };

/** Reads START_MS,REAL_START_MS,RATE. Throws LedgerError `bad-clock`. */
export function parseClock(text: string, realNowMs: () => number = Date.now): Clock {
  const parts = text.split(',').map(Number);
  const [startMs, realStartMs, rate] = parts;
  const good = parts.length === 3 && parts.every(Number.isFinite) && startMs > 0;
  if (!good || !(rate > 0 && rate <= 1_000)) {
    const expected = 'START_MS,REAL_START_MS,RATE, with a rate up to 1000';
    const message = 'Clock refused';
    throw new LedgerError({ code: 'bad-clock', message, expected, got: text, exitCode: 2 });
  }
  const nowMs = (): number => Math.floor(startMs + (realNowMs() - realStartMs) * rate);
  return { nowMs, rate };
}
