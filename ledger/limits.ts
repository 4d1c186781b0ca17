// How much any one peer may ask of the ledger. Token buckets by address, in memory, bounded
// themselves. Numbers stand here with their reasons; the server applies them.

export interface Rate {
  /** Requests at once. */
  burst: number;
  /** Requests a second, sustained. */
  perS: number;
}

export interface Limits {
  /** Posts from one address: a campaign of a hundred kits behind one router reports in a minute. */
  posts: Rate;
  /** Reads from one address: an auditor takes thousands of files in a row. */
  reads: Rate;
  /** Posts in work at once, two pools': while one is made durable, the next is verified. */
  postsInWork: number;
  /** Connections at once, slow ones included; below the usual limit of 1,024 open files. */
  connections: number;
  /** A whole request, slowest honest uplink: 16 KiB at 2 kB/s. */
  requestMs: number;
}

export const LIMITS: Limits = {
  posts: { burst: 200, perS: 20 },
  reads: { burst: 2_000, perS: 500 },
  postsInWork: 512,
  connections: 512,
  requestMs: 10_000,
};

/** Addresses remembered; the one unseen for longest is forgotten first. */
const MAX_ADDRESSES = 10_000;

export interface Limiter {
  /** Takes a token; the seconds to wait if there is none, otherwise 0. */
  take(address: string): number;
}

/** A limiter on a clock of real milliseconds. */
export function createLimiter({ burst, perS }: Rate, nowMs: () => number): Limiter {
  const buckets = new Map<string, { tokens: number; atMs: number }>();
  return {
    take(address) {
      const atMs = nowMs();
      const before = buckets.get(address) ?? { tokens: burst, atMs };
      const grown = before.tokens + (Math.max(0, atMs - before.atMs) / 1000) * perS;
      const tokens = Math.min(burst, grown);
      const allowed = tokens >= 1;
      buckets.delete(address);
      buckets.set(address, { tokens: allowed ? tokens - 1 : tokens, atMs });
      if (buckets.size > MAX_ADDRESSES) buckets.delete(buckets.keys().next().value!);
      return allowed ? 0 : Math.ceil((1 - tokens) / perS);
    },
  };
}
