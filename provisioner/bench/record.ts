// bench.db: the record of the bench. Every step of every kit, when it started, how it ended, and
// what it learned (drive serial, host key fingerprint, meter id, image digest, ledger entry …), so
// that any step can be resumed and any kit traced. This file owns the database's schema. Rows are
// only ever added; secrets are refused by name.

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { KitError } from '../errors.ts';

export type Detail = { [key: string]: Json };
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

export type Status = 'started' | 'done' | 'failed';

export interface StepRecord {
  id: number;
  kit: string;
  /** `flash`, `boot`, `configure`, `pair`, `check`, `label` … */
  step: string;
  status: Status;
  atMs: number;
  /** What was learned, or for a failure `{code, message}`. */
  detail: Detail;
}

export interface BenchRecord {
  /** `detail`: what must be known even if the step never ends, such as the file being written. */
  start(kit: string, step: string, detail?: Detail): void;
  done(kit: string, step: string, detail: Detail): void;
  fail(kit: string, step: string, error: unknown): void;
  /** The newest row of a step, or undefined when it was never begun. */
  latest(kit: string, step: string): StepRecord | undefined;
  /** The newest row of a step that was `done`: what is known of it, whatever was tried since. */
  lastDone(kit: string, step: string): StepRecord | undefined;
  /** Everything of a kit, oldest first. */
  history(kit: string): StepRecord[];
  /** Rows of one step across kits, oldest first: who made this drive? */
  ofStep(step: string): StepRecord[];
  close(): void;
}

const schemaVersion = 1;
/** Two commands may work at once: each write waits for the other's this long. */
const lockWaitMs = 10_000;
/** A detail is a page of facts, not an archive. */
const maxDetailBytes = 65_536;

const schema = `
  CREATE TABLE step (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    kit    TEXT NOT NULL,
    step   TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('started', 'done', 'failed')),
    at_ms  INTEGER NOT NULL,
    detail TEXT NOT NULL CHECK (json_valid(detail))
  ) STRICT;
  CREATE INDEX step_by_kit ON step (kit, step, id);
  PRAGMA user_version = ${schemaVersion};
`;

/**
 * @param dir the campaign's folder
 * @param deps.lockWaitMs how long another command's write is waited for
 * @throws KitError `bench-newer`, `bench-broken`; and, as every call of the record,
 *   `bench-busy`, `bench-unwritable`
 */
export function openBench(
  dir: string,
  deps: { now: () => number; lockWaitMs?: number },
): BenchRecord {
  const path = join(dir, 'bench.db');
  const db = openDatabase(path, deps.lockWaitMs ?? lockWaitMs);
  const told = <T>(work: () => T): T => inWords(path, work);
  const insert = db.prepare(
    'INSERT INTO step (kit, step, status, at_ms, detail) VALUES (?, ?, ?, ?, ?)',
  );
  const select = (where: string, tail = 'ORDER BY id') =>
    db.prepare(`SELECT id, kit, step, status, at_ms, detail FROM step WHERE ${where} ${tail}`);
  const newest = 'ORDER BY id DESC LIMIT 1';
  const latest = select('kit = ? AND step = ?', newest);
  const lastDone = select("kit = ? AND step = ? AND status = 'done'", newest);
  const history = select('kit = ?');
  const ofStep = select('step = ?');

  const add = (kit: string, step: string, status: Status, detail: Detail): void => {
    const text = detailText(detail);
    told(() => insert.run(kit, step, status, Math.trunc(deps.now()), text));
  };
  return {
    start: (kit, step, detail = {}) => add(kit, step, 'started', detail),
    done: (kit, step, detail) => add(kit, step, 'done', detail),
    fail: (kit, step, error) => add(kit, step, 'failed', failure(error)),
    latest: (kit, step) => told(() => latest.all(kit, step)).map(toRecord)[0],
    lastDone: (kit, step) => told(() => lastDone.all(kit, step)).map(toRecord)[0],
    history: (kit) => told(() => history.all(kit)).map(toRecord),
    ofStep: (step) => told(() => ofStep.all(step)).map(toRecord),
    close: () => db.close(),
  };
}

function openDatabase(path: string, timeout: number): DatabaseSync {
  return inWords(path, () => {
    const db = new DatabaseSync(path, { timeout });
    try {
      // FULL: a step that was reported done is still done after a power cut.
      db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
      prepareSchema(db, path);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

/** IMMEDIATE: of two processes that open a new record at once, one makes the tables. */
function prepareSchema(db: DatabaseSync, path: string): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    const version = db.prepare('PRAGMA user_version').get()!['user_version'] as number;
    if (version > schemaVersion) throw newer(path, version);
    if (version === 0) db.exec(schema);
    db.exec('COMMIT');
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
}

/** SQLite's result codes (sqlite.org/rescode.html): the low byte of what `errcode` holds. */
const SQLITE = { busy: 5, locked: 6, readonly: 8, ioErr: 10, full: 13, cantOpen: 14 };

/** What SQLite refuses, as the user's to read; a record that is only busy is never called bad. */
function inWords<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const { code, errcode = 0 } = cause as NodeJS.ErrnoException & { errcode?: number };
    if (code !== 'ERR_SQLITE_ERROR') throw cause;
    const reason = errcode & 0xff;
    const got = (cause as Error).message;
    if (reason === SQLITE.busy || reason === SQLITE.locked) throw busy(path, { got, cause });
    const { readonly, ioErr, full, cantOpen } = SQLITE;
    if ([readonly, ioErr, full, cantOpen].includes(reason)) throw unwritable(path, { got, cause });
    throw broken(path, { got, cause });
  }
}

interface Refusal {
  got: string;
  cause: unknown;
}

function busy(path: string, { got, cause }: Refusal): KitError {
  return new KitError({
    code: 'bench-busy',
    message: 'Another program holds the bench’s record',
    expected: `${path} to be free within ${lockWaitMs / 1000} s`,
    got,
    hint: 'Close what has it open (another kit, a browser of databases), then say the same again.',
    cause,
  });
}

function unwritable(path: string, { got, cause }: Refusal): KitError {
  return new KitError({
    code: 'bench-unwritable',
    message: 'The bench’s record cannot be written',
    expected: `${path} in a folder that you may write to, with room on its disk`,
    got,
    hint: 'Look at the folder’s owner and permissions, and at the room there; then say it again.',
    cause,
  });
}

function broken(path: string, { got, cause }: Refusal): KitError {
  return new KitError({
    code: 'bench-broken',
    message: 'The bench’s record could not be read',
    expected: `a database that kit made, or none, at ${path}`,
    got,
    hint: 'Put it back from your copy of the folder; without it, kit knows no drive and no meter.',
    cause,
  });
}

function toRecord(row: Record<string, unknown>): StepRecord {
  return {
    id: row['id'] as number,
    kit: row['kit'] as string,
    step: row['step'] as string,
    status: row['status'] as Status,
    atMs: row['at_ms'] as number,
    detail: JSON.parse(row['detail'] as string) as Detail,
  };
}

function detailText(detail: Detail): string {
  refuseSecrets(detail, []);
  const text = JSON.stringify(detail);
  if (text.length <= maxDetailBytes) return text;
  throw new TypeError(`detail: expected at most ${maxDetailBytes} bytes, got ${text.length}`);
}

/** Names under which secrets travel in this program; a public key's name says that it is public. */
const secretName = /secret|pass(word|phrase)|private|pairing_?key|seed|nonce|token|pem$|key_?pem/i;

/** A mistake of ours, not the user's: refused loudly, without repeating the value. */
function refuseSecrets(value: Json, path: string[]): void {
  if (typeof value === 'string' && /PRIVATE KEY-----|AGE-SECRET-KEY-/.test(value)) {
    throw new TypeError(`bench.db keeps no secrets: ${path.join('.')} holds a private key`);
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    const here = [...path, key];
    if (!Array.isArray(value) && secretName.test(key)) {
      throw new TypeError(`bench.db keeps no secrets: ${here.join('.')} is named like one`);
    }
    refuseSecrets(inner, here);
  }
}

function failure(error: unknown): Detail {
  if (error instanceof KitError) return { ...error.toJSON() };
  return { code: 'unexpected', message: error instanceof Error ? error.message : String(error) };
}

function newer(path: string, version: number): KitError {
  return new KitError({
    code: 'bench-newer',
    message: `${path} was made by a newer kit`,
    expected: `schema ${schemaVersion} or older`,
    got: `schema ${version}`,
    hint: 'Update kit, then try again.',
  });
}
