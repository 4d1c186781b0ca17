// The trial's ledger: the real `ledger serve`, a process of its own that can be killed and started
// again on the same folder, port and clock. Asked over HTTP like any other ledger.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { atWorkbench } from '../bench/workbench.ts';
import { KitError } from '../errors.ts';
import { LEDGER_ORIGIN, type Trial } from './trial.ts';

export interface TrialLedger {
  /** `http://127.0.0.1:PORT`, the same after a restart. */
  url: string;
  get(path: string): Promise<any>;
  /** Ends it at once, as a power cut would. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

/**
 * Starts the ledger and admits the trial's volunteer; writes the policy that the auditor holds, and
 * into the campaign the key that its operator tells the community.
 */
export async function startLedger(
  trial: Trial,
  say: (text: string) => void,
): Promise<TrialLedger> {
  const { folder } = trial;
  let running: Running | undefined;
  let port = 0;
  const start = async (): Promise<void> => {
    running = await serve(trial, port);
    port = running.port;
  };
  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    if (!running) return;
    running.child.kill(signal);
    await running.ended;
    running = undefined;
  };
  await start();
  holdKey(folder.campaign, running!.vkey);
  trial.onStop(() => kill('SIGTERM'));
  say('admitting the volunteer');
  const key = await atWorkbench(folder, async ({ identity }) => identity.publicKeyText);
  await trial.ledger(['admit', key, '--dir', folder.ledgerHome, '--json']);
  writeFileSync(folder.policy, (await trial.ledger(['policy', '--dir', folder.ledgerHome])).text);
  const url = `http://127.0.0.1:${port}`;
  return {
    ...{ url, start, kill: () => kill() },
    async get(path) {
      const response = await fetch(url + path, { signal: trial.signal });
      if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
      return response.json();
    },
  };
}

/** Once: a campaign that holds another key is what `kit check` is to find. */
function holdKey(campaign: string, vkey: string): void {
  const text = readFileSync(campaign, 'utf8');
  if (/^ledger_key = /m.test(text)) return;
  const held = text.replace(/^ledger_origin = .*$/m, `$&\nledger_key = ${JSON.stringify(vkey)}`);
  writeFileSync(campaign, held);
}

interface Running {
  child: ChildProcess;
  port: number;
  vkey: string;
  ended: Promise<unknown>;
}

async function serve(trial: Trial, port: number): Promise<Running> {
  const { folder, clock } = trial;
  const path = fileURLToPath(new URL('../../ledger/main.ts', import.meta.url));
  const log = openSync(join(folder.dir, 'ledger.log'), 'a');
  const words = [
    ...['--pdeathsig', 'KILL', process.execPath, path, 'serve', '--json'],
    ...['--dir', folder.ledgerHome, '--port', String(port), '--origin', LEDGER_ORIGIN],
    // From its own folder: a socket's path has room for 107 bytes only.
    ...['--listen-unix', basename(folder.ledgerSocket)],
    // A try-out may be taken up again after any time.
    ...['--clock', [clock.startMs, clock.realStartMs, clock.rate].join(','), '--after-pause'],
  ];
  const child = spawn('setpriv', words, { cwd: folder.dir, stdio: ['ignore', 'pipe', log] });
  closeSync(log);
  const ended = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout as Readable })) {
    const said = JSON.parse(line);
    if (said.type === 'listening') return { child, port: said.port, vkey: said.vkey, ended };
    if (said.error) throw new KitError(said.error);
  }
  throw new KitError({
    code: 'ledger-failed',
    message: 'The ledger did not start',
    got: `status ${(await ended)[0]}`,
    hint: `See ${join(folder.dir, 'ledger.log')}.`,
  });
}
