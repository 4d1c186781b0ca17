// A shell on a node, over a connection that is open: what account.ts and the checks work with.

import type { NodeConnection } from './connection.ts';

/** Runs POSIX shell as root on a node; gives what it printed, throws if it failed. */
export type Shell = (script: string) => Promise<string>;

const commandTimeoutMs = 60_000;

/** Runs scripts one at a time; one that ends with another status than 0 throws its last words. */
export function shellOver(connection: NodeConnection): Shell {
  return async (script) => {
    const result = await connection.run(script, { timeoutMs: commandTimeoutMs });
    if (result.exitCode === 0) return result.stdout;
    throw new Error(`exit code ${result.exitCode}: ${result.stderr.trim().slice(-300)}`);
  };
}
