// A process that takes batches and dies: `doomed-ledger.ts DIR STEP` opens the ledger in DIR,
// submits the batches of doomedBatches(), and kills itself with SIGKILL at the STEP-th step of its
// writing. What it acknowledged before stands on stdout, a batch's index a line; "done" if it
// lived.

import { writeSync } from 'node:fs';
import { openTestLedger } from './ledger-folder.ts';
import { createMeter } from './meter.ts';

/** Batches of one meter: the first is for before the doom, the other three for it. */
export function doomedBatches(): { meter: ReturnType<typeof createMeter>; batches: Uint8Array[] } {
  const meter = createMeter('doomed');
  return { meter, batches: Array.from({ length: 4 }, () => meter.batch()) };
}

if (import.meta.main) {
  const [dir, step] = process.argv.slice(2);
  let stepsLeft = Number(step);
  const onStep = (): void => {
    if (--stepsLeft === 0) process.kill(process.pid, 'SIGKILL');
  };
  const say = (line: unknown): void => void writeSync(1, `${line}\n`);
  const ledger = await openTestLedger(dir, { onStep });
  const [, first, second, third] = doomedBatches().batches;
  const submit = async (batch: Uint8Array): Promise<void> =>
    say((await ledger.submitBatch(batch)).index);
  await submit(first);
  await Promise.all([submit(second), submit(third)]);
  await ledger.close();
  say('done');
}
