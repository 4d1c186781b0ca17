// Whether the ledger's clock can be believed: entries are dated by it and meters set by it. A clock
// that contradicts the log, or itself, is not used, neither to date an entry nor to tell a meter the
// time; nothing is guessed in its stead. docs/decisions/0038 has the reasons. Sets no clock.

import { uptime } from 'node:os';
import type { Clock } from './clock.ts';
import { LedgerError } from './errors.ts';

export interface Timekeeper {
  /**
   * Unix milliseconds, for an entry after one of `lastEntryMs` (0: the log is empty). At most five
   * minutes before it. Throws LedgerError `clock-behind`, `clock-leapt`.
   */
  nowMs(lastEntryMs: number): number;
}

export interface TimekeeperOptions {
  /** Milliseconds that nobody sets, suspended ones included. */
  steadyMs?: () => number;
  /** The ledger took nothing for longer than {@link MOST_PAUSE_MS}, and its operator says so. */
  afterPause?: boolean;
}

/** What a clock may be put back by, as one is that follows others: batches' own tolerance. */
const BACK_MS = 5 * 60_000;
/** More than any leap second, summer time or lagging NTP: a clock set to another day. */
const LEAP_MS = 24 * 3_600_000;
/** Nothing came for so long: more likely a wrong clock than a commons at rest. */
export const MOST_PAUSE_MS = 31 * 24 * 3_600_000;
/** A clock found good is not compared with the steady one again before this. */
const COMPARE_MS = 60_000;

export function createTimekeeper(clock: Clock, options: TimekeeperOptions = {}): Timekeeper {
  const { steadyMs = () => uptime() * 1000, afterPause = false } = options;
  /** The last time that was believed, and the steady clock then, at this clock's rate. */
  let believed: { atMs: number; steadyMs: number } | undefined;
  const steadyNowMs = (): number => steadyMs() * clock.rate;
  return {
    nowMs(lastEntryMs) {
      const nowMs = clock.nowMs();
      const lastMs = Math.max(lastEntryMs, believed?.atMs ?? 0);
      if (nowMs < lastMs - BACK_MS) {
        const hint = 'Set the clock. If the log was dated wrongly: docs/ledger.md § Its clock.';
        throw refusal('clock-behind', { expected: `at least ${iso(lastMs)}`, nowMs, hint });
      }
      if (believed === undefined && lastEntryMs > 0 && !afterPause) {
        const latestMs = lastEntryMs + MOST_PAUSE_MS;
        const hint = 'Set the clock; or, after so long a pause, `ledger serve --after-pause` once.';
        const expected = `at most ${iso(latestMs)}, a month after the last entry`;
        if (nowMs > latestMs) throw refusal('clock-leapt', { expected, nowMs, hint });
      }
      if (believed !== undefined && nowMs > believed.atMs + LEAP_MS) {
        const latestMs = believed.atMs + (steadyNowMs() - believed.steadyMs) + LEAP_MS;
        const hint = 'Set the clock; or, if it was wrong before and is right now, start again.';
        const expected = `at most ${iso(latestMs)}`;
        if (nowMs > latestMs) throw refusal('clock-leapt', { expected, nowMs, hint });
      }
      if (believed === undefined || nowMs > believed.atMs + COMPARE_MS) {
        believed = { atMs: nowMs, steadyMs: steadyNowMs() };
      }
      return nowMs;
    },
  };
}

function refusal(
  code: string, { expected, nowMs, hint }: { expected: string; nowMs: number; hint: string },
): LedgerError {
  const message = 'The ledger’s clock cannot be believed';
  return new LedgerError({ code, message, expected, got: iso(nowMs), hint });
}

function iso(atMs: number): string {
  const date = new Date(atMs);
  return Number.isNaN(date.getTime()) ? `${atMs} ms` : date.toISOString();
}
