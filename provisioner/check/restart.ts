// A power cut without a hand at the plug: the kernel resets the machine at once, nothing flushed,
// nothing unmounted (Linux, Documentation/admin-guide/sysrq.rst, `b`). It must come up again.

import { KitError } from '../errors.ts';
import type { NodeConnection } from '../node/connection.ts';
import { failed, ok, reasonOf, type Check } from './finding.ts';

/** Opens a connection, trying for so long. */
export type Open = (patienceMs?: number) => Promise<NodeConnection>;

const name = 'restart';
const bootTimeoutMs = 300_000;
const commandTimeoutMs = 30_000;
/** The answer leaves the node before the kernel does. */
const resetScript = `sh -c 'sleep 1; echo b >/proc/sysrq-trigger' >/dev/null 2>&1 &
cat /proc/sys/kernel/random/boot_id
`;

export async function checkRestart(open: Open): Promise<Check> {
  const startMs = performance.now();
  try {
    const before = await resetNode(await open());
    const after = await bootIdAfter(before, open);
    const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
    if (after !== before) return ok(name, `stopped dead, and back within ${seconds} s`);
    return failed(name, `it did not stop within ${seconds} s`, 'Pull its plug, and check again.');
  } catch (error) {
    return failed(name, reasonOf(error), 'Look at its screen or console: what does it wait for?');
  }
}

async function resetNode(connection: NodeConnection): Promise<string> {
  try {
    return await bootIdOf(connection, resetScript);
  } finally {
    connection.close();
  }
}

/** The boot id once it is another, or after the patience has run out. */
async function bootIdAfter(before: string, open: Open): Promise<string> {
  let bootId = before;
  for (const untilMs = performance.now() + bootTimeoutMs; performance.now() < untilMs; ) {
    const connection = await open(untilMs - performance.now());
    try {
      bootId = await bootIdOf(connection, 'sleep 1; cat /proc/sys/kernel/random/boot_id\n');
      if (bootId !== before) break;
    } catch (error) {
      // Reached just before it went down: the next one is the one that counts.
      if (!(error instanceof KitError && error.code === 'connection-lost')) throw error;
    } finally {
      connection.close();
    }
  }
  return bootId;
}

async function bootIdOf(connection: NodeConnection, script: string): Promise<string> {
  const { stdout } = await connection.run(script, { timeoutMs: commandTimeoutMs });
  return stdout.trim();
}
