// `ledger serve` in a process of its own, and meters that report to it over HTTP as real ones do:
// one batch outstanding each, sent again as the same bytes until it is acknowledged.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { decodeMac0, decodeReply } from '../../firmware/wire.ts';
import { enrolMeter, openTestLedger, policyOf } from './ledger-folder.ts';
import type { Policy } from '../../ledger/log/policy.ts';
import { createMeter } from './meter.ts';
import type { TestMeter } from './meter.ts';

const MAIN = fileURLToPath(new URL('../../ledger/main.ts', import.meta.url));

export interface Served {
  child: ChildProcess;
  url: string;
  /** SIGKILL, and wait until it is gone. */
  kill(): Promise<void>;
  /** SIGTERM, and wait; throws unless it ends well. */
  stop(): Promise<void>;
}

export interface ServeFolderOptions {
  /** Set beside this process's own. */
  env?: Record<string, string>;
  /** The command line that runs the server's: in a namespace, with fewer descriptors. */
  enter?: (words: string[]) => string[];
  /** What it prints of its problems; by default they stand among this process's own. */
  stderr?: Writable;
}

/** Starts the server; limits of rates are far above what the caller's one address asks. */
export async function serveFolder(
  dir: string, { env = {}, enter = (words) => words, stderr }: ServeFolderOptions = {},
): Promise<Served> {
  const serve = ['serve', '--port', '0', '--json', '--dir', dir];
  const [program, ...words] = enter([process.execPath, MAIN, ...serve]);
  const child = spawn(program, words, {
    stdio: ['ignore', 'pipe', stderr === undefined ? 'inherit' : 'pipe'],
    env: { ...process.env, ...env },
  });
  if (stderr !== undefined) child.stderr!.pipe(stderr, { end: false });
  const gone = once(child, 'exit');
  const line = once(createInterface(child.stdout!), 'line') as Promise<[string]>;
  const first = await Promise.race([line, gone.then(() => undefined)]);
  const started = first && JSON.parse(first[0]) as { url?: string };
  if (started?.url === undefined) throw new Error(`the ledger did not start: ${first?.[0]}`);
  return {
    child,
    url: started.url,
    async kill() {
      child.kill('SIGKILL');
      await gone;
    },
    async stop() {
      child.kill('SIGTERM');
      const [code] = await gone;
      if (code !== 0) throw new Error(`the ledger ended with ${code}`);
    },
  };
}

export interface Reporter {
  meter: TestMeter;
  /** Entry indices of the acknowledged batches, in the order sent. */
  acked: number[];
  /** What was sent and not acknowledged. */
  outstanding(): Uint8Array | undefined;
  /**
   * Sends what is outstanding, or the next batch; true if it was acknowledged, false if the
   * connection failed. Throws if the ledger refuses it.
   */
  report(url: string): Promise<boolean>;
}

/** Makes a ledger folder in which the meters are enrolled; it is not being served. */
export async function folderOf(
  dir: string, names: string[], height: 5 | 10,
): Promise<{ reporters: Reporter[]; policy: Policy }> {
  // An hour's records each: the last of a thousand batches must not lie in the future.
  const startS = Math.floor(Date.now() / 1000) - 60 * 86_400;
  const meters = names.map((name) => createMeter(name, { height, startS }));
  const ledger = await openTestLedger(dir, { clock: { nowMs: Date.now, rate: 1 } });
  for (const [i, meter] of meters.entries()) await enrolMeter(ledger, meter, { publish: i % 4 });
  const policy = policyOf(ledger);
  await ledger.close();
  return { reporters: meters.map(reporterOf), policy };
}

function reporterOf(meter: TestMeter): Reporter {
  let outstanding: Uint8Array | undefined;
  const acked: number[] = [];
  return {
    meter,
    acked,
    outstanding: () => outstanding,
    async report(url) {
      outstanding ??= meter.batch();
      const answer = await post(url, outstanding);
      if (answer === undefined) return false;
      if (answer.status === 429 || answer.status === 503) return false;
      if (answer.status !== 200) throw new Error(`refused with ${answer.status}`);
      acked.push(decodeReply(decodeMac0(answer.body).payload).entryIndex);
      outstanding = undefined;
      return true;
    },
  };
}

async function post(
  url: string, body: Uint8Array,
): Promise<{ status: number; body: Uint8Array } | undefined> {
  const headers = { 'Content-Type': 'application/cose', 'Commons-Nonce': '00'.repeat(16) };
  try {
    const response = await fetch(`${url}v1/batches`, {
      method: 'POST', headers, body: new Uint8Array(body),
    });
    return { status: response.status, body: new Uint8Array(await response.arrayBuffer()) };
  } catch {
    // Killed in the middle: the batch stays outstanding, which is what is being tested.
    return undefined;
  }
}
