// A witness: says of other people's logs that each only grew. Keeps, in DIR/witness.db, its key, the
// last checkpoint that it cosigned for each log, and the evidence of what it refused. What it has
// answered is durable before the answer leaves; knows no HTTP.

import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { LedgerError } from '../errors.ts';
import { parseCheckpoint } from '../log/checkpoint.ts';
import { cosign, cosignatureTime } from '../log/cosignature.ts';
import { signingKey } from '../log/ed25519.ts';
import type { VerifierKey } from '../log/note.ts';
import {
  formatNote, formatSignatureLine, formatVkey, isKeyName, parseNote, SIGNATURE_TYPE, verifierKey,
} from '../log/note.ts';
import type { Judgement, Submission, Suspicion } from './judge.ts';
import { judge, NOTHING, readSubmission } from './judge.ts';
import { formatAddCheckpoint } from './request.ts';

export interface WitnessOptions {
  dir: string;
  /** A signed-note key name; a witness keeps it for life. */
  name?: string;
  /** The logs that it cosigns for. */
  logs: readonly VerifierKey[];
  /** POSIX time in seconds. */
  nowS(): number;
}

export type Answer =
  | { status: 200; signatures: string }
  | { status: 409; size: number }
  | { status: 400 | 422; reason: LedgerError };

export interface Evidence {
  origin: string;
  kind: Suspicion;
  /** POSIX seconds of the refusal. */
  atS: number;
  /** The checkpoint cosigned last, a signed note; empty before the first. */
  known: string;
  /** The body that was refused, but for signatures that are not its log's. */
  submitted: string;
}

export interface Witness {
  /** A cosignature key (type 04), for others' policies. */
  readonly vkey: string;
  /** Judges a body of add-checkpoint. Throws LedgerError as readSubmission does. */
  addCheckpoint(body: Uint8Array): Answer;
  /** For each log, the checkpoint cosigned last with this witness's cosignature, a signed note. */
  heads(): { origin: string; size: number; checkpoint: string }[];
  evidence(): Evidence[];
  close(): void;
}

/** Kinds of evidence are kept apart; more of one kind about one log teaches nothing new. */
const MAX_EVIDENCE = 100;
const DEFAULT_NAME = 'witness.test/commons';

/** Opens or makes a witness's folder. Throws LedgerError `name-differs`, `bad-name`. */
export function openWitness({ dir, name, logs, nowS }: WitnessOptions): Witness {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, 'witness.db');
  const db = new DatabaseSync(path);
  chmodSync(path, 0o600);
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 2000');
  db.exec(SCHEMA);
  const identity = readIdentity(db, name);
  const find = db.prepare('SELECT note FROM head WHERE origin = ?');
  const put = db.prepare('INSERT OR REPLACE INTO head (origin, size, note) VALUES (?, ?, ?)');
  const readHead = (origin: string): string => (find.get(origin)?.note as string | undefined) ?? '';
  return {
    vkey: identity.vkey,
    addCheckpoint(body) {
      const submission = readSubmission(body, logs);
      // Reading the last head and replacing it is one transaction, also between processes.
      db.exec('BEGIN IMMEDIATE');
      try {
        const known = readHead(submission.origin);
        const judgement = judge(submission, headOf(known));
        if (judgement.status !== 200 && judgement.suspicion !== undefined) {
          const { suspicion: kind } = judgement;
          const { origin, text } = submission;
          const submitted = textOf(formatAddCheckpoint(submission));
          keepEvidence(db, { origin, kind, atS: nowS(), known, submitted }, text);
        }
        const answer = answerTo(judgement, submission, known);
        db.exec('COMMIT');
        return answer;
      } catch (error) {
        // A full disk has ended the transaction already.
        if (db.isTransaction) db.exec('ROLLBACK');
        throw error;
      }
    },
    heads: () => db.prepare('SELECT origin, size, note AS checkpoint FROM head ORDER BY origin')
      .all() as ReturnType<Witness['heads']>,
    evidence: () => db.prepare(
      'SELECT origin, kind, atS, known, submitted FROM evidence ORDER BY id').all() as never,
    close: () => db.close(),
  };

  function answerTo(judgement: Judgement, submission: Submission, known: string): Answer {
    if (judgement.status === 409) return { status: 409, size: headOf(known).size };
    if (judgement.status !== 200) return { status: judgement.status, reason: judgement.reason };
    const { text, origin, size, checkpoint } = submission;
    // At an earlier time than the last one's it would say of the log what was not so then.
    const timeS = Math.max(nowS(), lastTimeS(known));
    const cosignature = cosign(text, { ...identity, timeS });
    const signatures = [...parseNote(checkpoint).signatures, cosignature];
    put.run(origin, size, textOf(formatNote({ text, signatures })));
    return { status: 200, signatures: formatSignatureLine(cosignature) };
  }
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS identity
    (id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, seed BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS head
    (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, note TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS evidence
    (id INTEGER PRIMARY KEY, origin TEXT NOT NULL, kind TEXT NOT NULL, atS INTEGER NOT NULL,
     known TEXT NOT NULL, submitted TEXT NOT NULL, text TEXT NOT NULL,
     UNIQUE (origin, kind, text)) STRICT;`;

interface Identity {
  name: string;
  seed: Uint8Array;
  vkey: string;
}

function readIdentity(db: DatabaseSync, wanted: string | undefined): Identity {
  const put = db.prepare('INSERT OR IGNORE INTO identity (id, name, seed) VALUES (1, ?, ?)');
  const name = wanted ?? DEFAULT_NAME;
  if (!isKeyName(name)) {
    const expected = 'a key name without spaces or plus signs';
    const parts = { code: 'bad-name', message: 'Name refused', expected, got: name };
    throw new LedgerError({ ...parts, exitCode: 2 });
  }
  put.run(name, new Uint8Array(randomBytes(32)));
  const row = db.prepare('SELECT name, seed FROM identity').get()!;
  const [kept, seed] = [row.name as string, new Uint8Array(row.seed as Uint8Array)];
  if (wanted !== undefined && wanted !== kept) {
    const parts = { code: 'name-differs', message: 'A witness keeps its name for life' };
    throw new LedgerError({ ...parts, expected: kept, got: wanted, exitCode: 2 });
  }
  const { publicKey } = signingKey(seed);
  const key = verifierKey(kept, SIGNATURE_TYPE.cosignatureV1, publicKey);
  return { name: kept, seed, vkey: formatVkey(key) };
}

function headOf(note: string): { size: number; root: Uint8Array } {
  return note === '' ? NOTHING : parseCheckpoint(parseNote(Buffer.from(note)).text);
}

/** When this witness cosigned the note that it keeps, its own line the last; 0 if there is none. */
function lastTimeS(note: string): number {
  if (note === '') return 0;
  return Number(cosignatureTime(parseNote(Buffer.from(note)).signatures.at(-1)!.signature));
}

/** Once for each checkpoint's text, however often it is sent. */
function keepEvidence(
  db: DatabaseSync,
  { origin, kind, atS, known, submitted }: Evidence,
  text: string,
): void {
  db.prepare(
    `INSERT OR IGNORE INTO evidence (origin, kind, atS, known, submitted, text)
     SELECT ?, ?, ?, ?, ?, ?
     WHERE (SELECT count(*) FROM evidence WHERE origin = ? AND kind = ?) < ${MAX_EVIDENCE}`,
  ).run(origin, kind, atS, known, submitted, text, origin, kind);
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
