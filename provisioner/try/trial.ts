// A trial in progress: its folder, its clock, what stops it, and what has to be stopped. Handed to
// every step; owns nothing that a step makes.

import { randomBytes } from 'node:crypto';
import type { Output } from '../terminal.ts';
import { virtualMs, type ClockSettings } from '../virtual/clock.ts';
import { runCommand, type CommandOutcome, type CommandRun } from './command-line.ts';
import type { TrialFolder, TrialState } from './folder.ts';

export const KIT = 'alice';
export const OWNER = 'alice';
export const DOMAIN = 'alice.test';
export const PEER_DOMAIN = 'bob.test';
export const PEER_USER = 'bob';
export const LEDGER_DOMAIN = 'ledger.test';
export const LEDGER_ORIGIN = 'ledger.test/commons';

/** How long QEMU's emulation may take to a login prompt on a busy machine. */
export const BOOT_LIMIT_MS = 420_000;

/** How many trial seconds pass in a real one: a journey shows hours of a meter's life in minutes. */
const RATE = 10;

export interface Trial {
  folder: TrialFolder;
  clock: ClockSettings;
  /** Trial time now, Unix ms. */
  nowMs(): number;
  state(): TrialState;
  /** Keeps what a later run must know. */
  remember(change: Partial<TrialState>): Promise<void>;
  signal: AbortSignal;
  /** Runs `kit …` on the trial's campaign. */
  kit(words: string[], run?: Partial<CommandRun>): Promise<CommandOutcome>;
  /** Runs `ledger …`. */
  ledger(words: string[], run?: Partial<CommandRun>): Promise<CommandOutcome>;
  /** Called in reverse order when the trial ends, however it ends. */
  onStop(stop: () => Promise<void>): void;
  stop(): Promise<void>;
}

export async function openTrial(
  folder: TrialFolder,
  signal: AbortSignal,
  output: Output,
): Promise<Trial> {
  let state: TrialState = folder.read() ?? {
    ...{ format: 1, mac: randomMac(), latestTrialMs: 0 },
  };
  const realStartMs = Date.now();
  const startMs = Math.max(realStartMs, state.latestTrialMs);
  const clock: ClockSettings = { startMs, realStartMs, rate: RATE };
  const stops: (() => Promise<void>)[] = [];
  const nowMs = (): number => virtualMs(clock, Date.now());
  const remember = async (change: Partial<TrialState>): Promise<void> => {
    state = { ...state, ...change, latestTrialMs: Math.ceil(nowMs()) };
    await folder.write(state);
  };
  await remember({});
  const keepTime = setInterval(() => void remember({}), 1000);
  keepTime.unref();
  const global = ['--json-events', '--campaign', folder.campaign, '--identity', folder.identity];
  return {
    ...{ folder, clock, nowMs, remember, signal },
    state: () => state,
    kit: (words, run) => runCommand({ program: 'kit', global, words, signal, ...run }),
    ledger: (words, run) => runCommand({ program: 'ledger', words, signal, ...run }),
    onStop: (stop) => void stops.push(stop),
    async stop() {
      clearInterval(keepTime);
      for (const stop of stops.splice(0).reverse()) {
        // One part that will not stop must not keep the others running.
        await stop().catch((error) => output.event({ type: 'stop-failed', text: String(error) }));
      }
      await remember({});
    },
  };
}

/** Locally administered, unicast, in the range that QEMU's own cards use. */
function randomMac(): string {
  const bytes = [0x52, 0x54, 0x00, ...randomBytes(3)];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
