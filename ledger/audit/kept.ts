// What an audit keeps between two looks at a log, in one file of the auditor's own: the newest
// checkpoint that it verified, and what the entries came to so far. Whole or not there, whenever the
// process ends.
//
//   commons-kit audit <format> <SHA-256 of the rest, hex>\n
//   V8's serialisation of {origin, policy, memory}
//
// The digest tells a torn or rotten file, not a forged one: whoever can write the file can have the
// audit overlook anything, as whoever can change the program can. It belongs where only the auditor
// writes.

import { readdir, readFile, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { PROJECTION_VERSION } from '../ask/project.ts';
import { LedgerError } from '../errors.ts';
import type { OnStep } from '../log/durable.ts';
import { writeDurably } from '../log/durable.ts';
import type { Edge } from '../log/edge.ts';
import type { TreeHead } from '../log/tree.ts';
import { sha256 } from '../log/tree.ts';
import type { SavedEntries } from './entries.ts';
import type { Finding } from './report.ts';

/** A checkpoint that was verified, and the note that says so. */
export interface KnownHead extends TreeHead {
  note: Uint8Array;
}

export interface Memory {
  /** Null before the first one. */
  known: KnownHead | null;
  /** Two histories were signed: no later one makes that good. */
  fork: Finding | null;
  /** Null where the next audit begins with the first entry. */
  progress: { edge: Edge; entries: SavedEntries } | null;
}

export type Suspicion = 'fork' | 'rollback';

export interface KeptAudit {
  /**
   * What is kept of this log; nothing if there is no file. Throws LedgerError `state-damaged`,
   * `state-version`, `state-foreign`.
   */
  read(origin: string): Promise<Memory>;
  /** Replaces it, durably. */
  write(origin: string, memory: Memory): Promise<void>;
  /** Whether so long has passed since the last write that another one is worth its time. */
  isDue(): boolean;
  /** Keeps two notes that contradict each other in a file of their own, and says where. */
  keepEvidence(kind: Suspicion, known: Uint8Array, shown: Uint8Array): Promise<string>;
}

export interface KeepOptions {
  /** The policy file's bytes; what was found by one is not what another would find. */
  policy: Uint8Array | undefined;
  /** Real milliseconds. */
  nowMs(): number;
  onStep?: OnStep;
}

/** Raised with every change of what is kept, or of what an audit makes of an entry. */
const FORMAT = `1.${PROJECTION_VERSION}`;
/** What a broken-off audit does again at most; or twenty times what a write takes, if that is more. */
const WRITE_EVERY_MS = 5_000;
const WORTH_WRITES = 20;

/** An audit kept in the file at `path`. */
export function keepAudit(path: string, { policy, nowMs, onStep }: KeepOptions): KeptAudit {
  const policyDigest = policy === undefined ? '' : hex(sha256(policy));
  const options = { temporaryDir: dirname(path), onStep };
  let written = { atMs: nowMs(), tookMs: 0 };
  return {
    async read(origin) {
      await sweep(path);
      const bytes = await readFile(path).catch(absent);
      if (bytes === undefined) return { known: null, fork: null, progress: null };
      const kept = decode(path, bytes);
      if (kept.origin !== origin) throw foreign(path, `of ${origin}`, `of ${kept.origin}`);
      if (kept.policy === policyDigest) return kept.memory;
      throw foreign(path, 'by this policy', 'by another one');
    },
    async write(origin, memory) {
      const startMs = nowMs();
      await writeDurably(path, encode({ origin, policy: policyDigest, memory }), options);
      written = { atMs: nowMs(), tookMs: nowMs() - startMs };
    },
    isDue: () =>
      nowMs() - written.atMs >= Math.max(WRITE_EVERY_MS, WORTH_WRITES * written.tookMs),
    async keepEvidence(kind, known, shown) {
      const file = `${path}.${kind}-${hex(sha256(shown)).slice(0, 16)}`;
      await writeDurably(file, new Uint8Array(Buffer.concat([known, Buffer.from('\n'), shown])), options);
      return file;
    },
  };
}

interface Kept {
  origin: string;
  /** SHA-256 in hex; empty without one. */
  policy: string;
  memory: Memory;
}

function encode(kept: Kept): Uint8Array {
  const body = serialize(kept);
  return Buffer.concat([Buffer.from(`commons-kit audit ${FORMAT} ${hex(sha256(body))}\n`), body]);
}

function decode(path: string, bytes: Buffer): Kept {
  const end = bytes.indexOf('\n');
  const header = /^commons-kit audit (\S+) ([0-9a-f]{64})$/.exec(bytes.toString('latin1', 0, end));
  const body = bytes.subarray(end + 1);
  const message = 'The kept audit cannot be gone on with';
  const hint = 'Find out why; to begin anew, name another file.';
  if (header !== null && header[1] !== FORMAT) {
    const parts = { code: 'state-version', message, expected: `format ${FORMAT}`, hint };
    throw new LedgerError({ ...parts, got: `${header[1]} in ${path}` });
  }
  if (header === null || header[2] !== hex(sha256(body))) {
    const expected = 'an audit, whole, as it was written';
    throw new LedgerError({ code: 'state-damaged', message, expected, got: path, hint });
  }
  return deserialize(body) as Kept;
}

function foreign(path: string, expected: string, got: string): LedgerError {
  return new LedgerError({
    code: 'state-foreign', message: `${path} keeps another audit`, expected: `one ${expected}`,
    got: `one ${got}`, hint: 'Keep each log, by each policy, in a file of its own.', exitCode: 2,
  });
}

/** Removes what writes that were broken off have left. */
async function sweep(path: string): Promise<void> {
  const [dir, name] = [dirname(path), basename(path)];
  const isLeft = (other: string): boolean =>
    other.endsWith(`-${name}`) && /^\d+-\d+$/.test(other.slice(0, -name.length - 1));
  for (const other of (await readdir(dir).catch(absent)) ?? []) {
    if (isLeft(other)) await rm(join(dir, other), { force: true });
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
