// `ledger serve` in a process of its own, and meters that report to it over HTTP as real ones do:
// one batch outstanding each, sent again as the same bytes until it is acknowledged.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import type { IncomingHttpHeaders, RequestOptions } from 'node:http';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { decodeMac0, decodeReply } from '../../firmware/wire.ts';
import { enrolMeter, openTestLedger, policyOf } from './ledger-folder.ts';
import type { Policy } from '../../ledger/log/policy.ts';
import { hashTrees } from './hash-trees.ts';
import { SERVER_HEAP } from '../../ledger/server-heap.js';
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
  /** Added to `ledger serve`. */
  flags?: string[];
  /** Set beside this process's own. */
  env?: Record<string, string>;
  /** The command line that runs the server's: in a namespace, with fewer descriptors. */
  enter?: (words: string[]) => string[];
  /** What it prints of its problems; by default they stand among this process's own. */
  stderr?: Writable;
}

/** Starts the server as its launcher does; limits of rates are far above what the caller's one address asks. */
export async function serveFolder(
  dir: string,
  { flags = [], env = {}, enter = (words) => words, stderr }: ServeFolderOptions = {},
): Promise<Served> {
  const serve = ['serve', '--port', '0', '--json', '--dir', dir, ...flags];
  const [program, ...words] = enter([process.execPath, ...SERVER_HEAP, MAIN, ...serve]);
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
  /** Its connections, from an address of its own. */
  agent: Agent;
  /** The batch sent last, acknowledged or not. */
  latest(): Uint8Array | undefined;
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
  const trees = await hashTrees(names, height);
  const meters = names.map((name, i) => createMeter(name, { height, startS, tree: trees[i] }));
  const ledger = await openTestLedger(dir, { clock: { nowMs: Date.now, rate: 1 } });
  for (const [i, meter] of meters.entries()) await enrolMeter(ledger, meter, { publish: i % 4 });
  const policy = policyOf(ledger);
  await ledger.close();
  return { reporters: meters.map(reporterOf), policy };
}

function reporterOf(meter: TestMeter, i: number): Reporter {
  // An address each, as meters have: the ledger limits rates by address.
  const agent = new Agent({ keepAlive: true, localAddress: `127.1.${i >> 7}.${1 + (i & 127)}` });
  let [outstanding, latest]: (Uint8Array | undefined)[] = [];
  const acked: number[] = [];
  return {
    meter,
    agent,
    acked,
    latest: () => latest,
    async report(url) {
      outstanding ??= meter.batch();
      latest = outstanding;
      const answer = await postBatch(url, agent, outstanding);
      if (answer === undefined) return false;
      if (answer.status === 429 || answer.status === 503) return false;
      if (answer.status !== 200) throw new Error(`refused with ${answer.status}`);
      acked.push(decodeReply(decodeMac0(answer.body).payload).entryIndex);
      outstanding = undefined;
      return true;
    },
  };
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Uint8Array;
}

/** Posts as a meter does; nothing if the connection failed. */
export function postBatch(
  url: string, agent: Agent, body: Uint8Array,
): Promise<Answer | undefined> {
  const headers = { 'Content-Type': 'application/cose', 'Commons-Nonce': '00'.repeat(16) };
  return ask(`${url}v1/batches`, { method: 'POST', agent, headers }, body);
}

export function ask(
  url: string, options: RequestOptions, body?: Uint8Array,
): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    // Killed in the middle: the batch stays outstanding, which is what is being tested.
    const failed = (): void => resolve(undefined);
    const asked = request(url, options, (response) => {
      const chunks: Uint8Array[] = [];
      response.on('data', (chunk: Uint8Array) => void chunks.push(chunk)).on('error', failed);
      response.on('end', () => resolve({
        status: response.statusCode!, headers: response.headers,
        body: new Uint8Array(Buffer.concat(chunks)),
      }));
    });
    asked.on('error', failed).end(body);
  });
}
