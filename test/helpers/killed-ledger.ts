// Kills a ledger again and again while meters report to it, and proves that it lost nothing that it
// acknowledged and counted nothing twice.

import { setTimeout as sleep } from 'node:timers/promises';
import { audit } from '../../ledger/audit/audit.ts';
import { folderFiles } from '../../ledger/audit/source.ts';
import { decodeEntry } from '../../ledger/entry.ts';
import { join } from 'node:path';
import type { Policy } from '../../ledger/log/policy.ts';
import { openTestLedger } from './ledger-folder.ts';
import { folderOf, serveFolder } from './served-ledger.ts';
import type { Reporter } from './served-ledger.ts';

export interface KillOptions {
  dir: string;
  kills: number;
  /** 0 … 1: when to kill. */
  random: () => number;
  /** One-time keys are finite: 5 gives each of the four meters 31 batches, 10 gives 1,023. */
  height: 5 | 10;
  tell?: (text: string) => void;
}

/** Longest that a ledger lives under load, from its first acknowledgement. */
const MOST_LIFE_MS = 60;

/** @returns the batches acknowledged. Throws at the first one lost, or counted twice. */
export async function killUnderLoad(options: KillOptions): Promise<number> {
  const { dir, kills, random, height, tell = () => {} } = options;
  const names = ['none', 'batch', 'hour', 'day'];
  const { reporters, policy } = await folderOf(dir, names, height);
  const most = 2 ** height - 2;
  // Half of a ledger's start is the compiling of its sources. A killed process leaves nothing of it
  // behind, so one that ends well goes first.
  const env = { NODE_COMPILE_CACHE: join(dir, 'compiled') };
  await (await serveFolder(dir, { env })).stop();
  for (let kill = 1; kill <= kills; kill++) {
    const served = await serveFolder(dir, { env });
    let isAlive = true;
    const first = Promise.withResolvers<void>();
    const senders = reporters.map(async (reporter) => {
      while (isAlive && reporter.acked.length < most) {
        if (await reporter.report(served.url)) first.resolve();
      }
    });
    await Promise.race([first.promise, Promise.all(senders)]);
    // Real time, since it is a real process that is to be met at any instruction.
    await sleep(random() * MOST_LIFE_MS);
    isAlive = false;
    await served.kill();
    await Promise.all(senders);
    if (kill % 50 === 0) tell(`  ${kill} kills, ${countAcked(reporters)} batches acknowledged`);
  }
  await prove(dir, reporters, policy);
  return countAcked(reporters);
}

/**
 * Reads the whole of a ledger's folder, which nobody serves. Throws unless every acknowledged batch
 * stands in its log once, where it was acknowledged, and the audit finds nothing.
 */
export async function prove(
  dir: string, reporters: Reporter[], policy: Policy,
): Promise<void> {
  const ledger = await openTestLedger(dir, { clock: { nowMs: Date.now, rate: 1 } });
  const entries = ledger.log().read(0, ledger.log().size()).map(decodeEntry);
  await ledger.close();
  const seen = new Set<string>();
  for (const entry of entries) {
    if (entry.type !== 'batch-received') continue;
    const hash = Buffer.from(entry.batchHash).toString('hex');
    if (seen.has(hash)) throw new Error(`batch ${hash} stands in the log twice`);
    seen.add(hash);
  }
  for (const { meter, acked } of reporters) {
    const own = entries.flatMap((entry, index) =>
      (entry.type === 'batch-received' && equalIds(entry.meterId, meter.id) ? [index] : []));
    // One more may have become durable whose acknowledgement was killed.
    if (own.length > acked.length + 1) throw new Error(`${meter.idHex} has batches nobody sent`);
    for (const [i, index] of acked.entries()) {
      if (own[i] !== index) throw new Error(`entry ${index}, acknowledged, is not in the log`);
    }
  }
  const report = await audit(folderFiles(join(dir, 'public')), { policy });
  if (!report.ok) throw new Error(`the audit fails: ${JSON.stringify(report.findings)}`);
}

function equalIds(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

function countAcked(reporters: Reporter[]): number {
  return reporters.reduce((sum, { acked }) => sum + acked.length, 0);
}
