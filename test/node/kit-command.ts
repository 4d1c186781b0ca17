// `kit`, as a person at the bench runs it: a process of its own, told to print JSON.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { SMALL_HEAP } from '../../provisioner/pinned-node.js';

export interface Ran {
  status: number | null;
  out: string;
  told: string;
}

/** Files. */
export interface Bench {
  campaign: string;
  identity: string;
}

const kitScript = fileURLToPath(new URL('../../provisioner/kit.ts', import.meta.url));

export function startKit(
  { campaign, identity }: Bench,
  words: string[],
): { child: ChildProcess; ran: Promise<Ran> } {
  const flags = ['--json', '--campaign', campaign, '--identity', identity];
  const child = spawn(process.execPath, [...SMALL_HEAP, kitScript, ...flags, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, told] = ['', ''];
  child.stdout!.on('data', (bytes: Buffer) => (out += bytes));
  child.stderr!.on('data', (bytes: Buffer) => (told += bytes));
  const ran = once(child, 'close').then(([status]) => ({ status, out, told }));
  return { child, ran };
}
