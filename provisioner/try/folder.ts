// The trial's folder: where each thing stands, who may work in it, and the little that a later run
// must know of an earlier one. One journey at a time: the lock is the kernel's, released when its
// holder dies, however it dies.

import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { replaceDurably } from '../campaign/durable.ts';
import { KitError } from '../errors.ts';

/** What one run leaves for the next. */
export interface TrialState {
  format: 1;
  /** The node's network card: a kit keeps its address across runs. */
  mac: string;
  /** The trial clock never runs backwards, also across runs. Unix ms. */
  latestTrialMs: number;
  /** What has been learned of this machine's KVM. */
  kvmWorks?: boolean;
}

export interface TrialFolder {
  dir: string;
  campaignDir: string;
  campaign: string;
  identity: string;
  images: string;
  drive: string;
  home: string;
  machine: string;
  peer: string;
  /** The log's public files, as an auditor would fetch them. */
  ledger: string;
  /** The ledger's own folder, its private stores in it. */
  ledgerHome: string;
  ledgerSocket: string;
  meter: string;
  policy: string;
  label: string;
  page: string;
  screen: string;
  summary: string;
  read(): TrialState | undefined;
  write(state: TrialState): Promise<void>;
  release(): void;
}

/** A journey that was just killed takes a moment to die; one that lives keeps its folder. */
const LOCK_WAIT_MS = 20_000;

/** @throws KitError `trial-busy` when another journey works there, `trial-unusable`, `trial-newer` */
export async function openTrialFolder(path: string): Promise<TrialFolder> {
  const dir = resolve(path);
  const at = (...parts: string[]): string => join(dir, ...parts);
  const parts = ['campaign', 'images', 'drives', 'home', 'machine', 'peer', 'meter', 'ledger'];
  for (const part of [...parts, 'ledger-home']) mkdirSync(at(part), { recursive: true });
  // The public files stand apart from the ledger's private stores, as on a web server.
  if (!existsSync(at('ledger-home', 'public'))) symlinkSync('../ledger', at('ledger-home', 'public'));
  const release = await lock(at('lock.db'));
  const state = at('state.json');
  return {
    dir,
    campaignDir: at('campaign'),
    campaign: at('campaign', 'campaign.toml'),
    identity: at('campaign', 'volunteer.key'),
    images: at('images'),
    drive: at('drives', 'alice.img'),
    home: at('home'),
    machine: at('machine'),
    peer: at('peer'),
    ledger: at('ledger'),
    ledgerHome: at('ledger-home'),
    ledgerSocket: at('ledger.sock'),
    meter: at('meter'),
    policy: at('policy'),
    label: at('label'),
    page: at('page.png'),
    screen: at('screen.png'),
    summary: at('summary.json'),
    read: () => readState(state),
    write: (value) => replaceDurably(state, `${JSON.stringify(value)}\n`),
    release,
  };
}

/** SQLite's result code (sqlite.org/rescode.html) for what somebody else holds. */
const SQLITE_BUSY = 5;

async function lock(path: string): Promise<() => void> {
  let db: DatabaseSync | undefined;
  for (let waitedMs = 0; ; waitedMs += 250) {
    try {
      db ??= new DatabaseSync(path, { timeout: 0 });
      db.exec('BEGIN EXCLUSIVE');
      const locked = db;
      return () => locked.close();
    } catch (error) {
      const isBusy = (error as { errcode?: number }).errcode === SQLITE_BUSY;
      if (!isBusy || waitedMs >= LOCK_WAIT_MS) {
        db?.close();
        throw isBusy ? busy(dirname(path), error) : unusable(dirname(path), error);
      }
      await delay(250);
    }
  }
}

function busy(dir: string, cause: unknown): KitError {
  return new KitError({
    code: 'trial-busy',
    message: `Another journey works in ${dir}`,
    expected: 'a folder of its own for each journey',
    got: `one that is still held after ${LOCK_WAIT_MS / 1000} s`,
    hint: 'End it with Ctrl-C, or name another folder with --dir.',
    cause,
  });
}

function unusable(dir: string, cause: unknown): KitError {
  return new KitError({
    code: 'trial-unusable',
    message: `No journey can be made in ${dir}`,
    expected: 'a folder that you may write to, with room on its disk',
    got: cause instanceof Error ? cause.message : String(cause),
    hint: 'Look at its owner and permissions, or name another folder with --dir.',
    cause,
  });
}

function readState(path: string): TrialState | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const state = JSON.parse(text) as TrialState;
  if (state.format === 1) return state;
  throw new KitError({
    code: 'trial-newer',
    message: `${path} was written by another version`,
    expected: 'format 1',
    got: `format ${state.format}`,
    hint: 'Start in a new folder: --dir DIR.',
  });
}
