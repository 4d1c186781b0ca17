// The clock that a virtual meter, its chips and its ledger share:
//
//   at(realMs) = startMs + (realMs − realStartMs) × rate
//
// At an infinite rate there is no pace: time is wherever the meter's next timer puts it. Pure
// arithmetic; reads no clock of its own.

/** Three numbers that another process can be handed, to live by the same time. */
export interface ClockSettings {
  /** The virtual Unix time, ms, at `realStartMs`. */
  startMs: number;
  /** A real Unix time, ms. */
  realStartMs: number;
  /** Virtual seconds in a real second; `Infinity` for as fast as possible. */
  rate: number;
}

/**
 * The latest virtual time, Unix ms, that may have been reached at `realMs`. At an infinite rate any
 * time may have been: the answer is `Infinity`.
 */
export function virtualMs(clock: ClockSettings, realMs: number): number {
  if (clock.rate === Infinity) return Infinity;
  return clock.startMs + (realMs - clock.realStartMs) * clock.rate;
}

/** The real time, Unix ms, at which `atMs` is reached: the inverse; `-Infinity` without a pace. */
export function realMs(clock: ClockSettings, atMs: number): number {
  if (clock.rate === Infinity) return -Infinity;
  return clock.realStartMs + (atMs - clock.startMs) / clock.rate;
}
