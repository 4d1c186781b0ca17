// The clock by which writing is measured and watched: passed in, so that tests have one of their
// own. No code but the real one.

export interface Clock {
  /** Monotonic. */
  nowMs(): number;
  /** Calls `tick` again and again; returns what ends that. */
  every(periodMs: number, tick: () => void): () => void;
}

export const realClock: Clock = {
  nowMs: () => performance.now(),
  every(periodMs, tick) {
    // Watching a drive keeps nobody alive whose work is done.
    const timer = setInterval(tick, periodMs).unref();
    return () => clearInterval(timer);
  },
};
