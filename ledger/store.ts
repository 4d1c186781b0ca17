// A ledger's folder. Who may read what:
//
//   DIR/public/      anyone: checkpoint, tile/…, blob/SHA256HEX
//   DIR/ledger.db    the server: projections of what is public or due; `ledger rebuild` regrows
//   DIR/private.db   the operator: withheld blobs, kits' names, which one-time key signed what
//   DIR/secrets.db   the server alone: the log's key, pairing keys, the age identity
//   DIR/lock         the one writer, and the newest checkpoint signed (log/head.ts)
//   DIR/temporary/   files not yet whole, swept at start
//   DIR/admin.sock   the operator, while it serves
//
// Decides nothing; keeps and finds. What it has kept is durable when the call returns or resolves.

import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { LedgerError } from './errors.ts';
import type { SignedBlob } from './ingest.ts';
import type { OnStep } from './log/durable.ts';
import { allWritten, syncDir, writeDurably } from './log/durable.ts';
import type { HeadStore } from './log/head.ts';
import { openHead } from './log/head.ts';
import { equal } from './log/tree.ts';
import type { OneTimeKey } from './succession.ts';

export const DEFAULT_ORIGIN = 'ledger.test/commons';

export interface Store {
  readonly dir: string;
  readonly publicDir: string;
  readonly temporaryDir: string;
  readonly head: HeadStore;
  /** Projections (ledger/ask). */
  readonly ledgerDb: DatabaseSync;
  readonly keys: Keys;
  pairingKey(meterId: Uint8Array): Uint8Array | undefined;
  keepKit(meterId: Uint8Array, pairingKey: Uint8Array, privateName: string): void;
  privateName(meterId: Uint8Array): string | undefined;
  /** The log index of a kept blob. */
  indexOf(hash: Uint8Array): number | undefined;
  /** The hash of a kept blob that the one-time key signed, unless it was erased. */
  signedWith(meterId: Uint8Array, key: OneTimeKey): Uint8Array | undefined;
  /** A blob, public or withheld; null if it was erased or never came. */
  blob(hash: Uint8Array): Uint8Array | null;
  /** Makes blobs public; they may be kept already, or be among `blobs`. */
  disclose(
    hashes: readonly Uint8Array[],
    blobs: readonly Pick<SignedBlob, 'hash' | 'bytes'>[],
  ): Promise<void>;
  /**
   * Keeps blobs with their log indices, withholding those not public; drops copies of public ones.
   * Throws if one is kept, or its one-time key signed another.
   */
  keep(blobs: readonly (SignedBlob & { index: number })[], disclosed: readonly Uint8Array[]): void;
  /** The entries that a meter's blobs belong to, rising. */
  indicesOf(meterId: Uint8Array): number[];
  /**
   * Remembers what entry `index` will erase, so that a start after a crash finishes it; nothing is
   * erased yet.
   */
  intendErasure(hashes: readonly Uint8Array[], index: number): void;
  /** Erases what was intended, public copies and withheld ones. */
  finishErasures(): Promise<void>;
  /** Forgets blobs of entries that never came to be: index `size` and on. */
  forgetFrom(size: number): void;
  /** Copies everything but the public files and the projections into a folder. */
  copyDatabases(dir: string): Promise<void>;
  close(): void;
}

export interface Keys {
  origin: string;
  logSeed: Uint8Array;
  ageIdentity: string;
  ageRecipient: string;
}

export interface StoreOptions {
  /** At the first start; later it must be the same, or unsaid. */
  origin?: string;
  onStep?: OnStep;
  /** Drops the projections, to be grown again. */
  freshProjections?: boolean;
}

/** Opens or makes a ledger folder. Throws LedgerError `ledger-in-use`, `origin-differs`. */
export async function openStore(
  dir: string,
  { origin, onStep, freshProjections = false }: StoreOptions = {},
): Promise<Store> {
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const path = (name: string): string => join(dir, name);
  const head = openHead(path('lock'));
  try {
    const secrets = openDatabase(path('secrets.db'), SECRETS);
    const withheld = openDatabase(path('private.db'), PRIVATE);
    if (freshProjections) {
      for (const name of ['ledger.db', 'ledger.db-wal', 'ledger.db-shm']) {
        rmSync(path(name), { force: true });
      }
    }
    const ledgerDb = openDatabase(path('ledger.db'), '');
    // Projections can be grown again: a lost commit costs a catch-up at start.
    ledgerDb.exec('PRAGMA synchronous = NORMAL');
    const keys = await readKeys(secrets, origin);
    const publicDir = path('public');
    const temporaryDir = path('temporary');
    mkdirSync(temporaryDir, { recursive: true });
    const places = { publicDir, temporaryDir, onStep };
    return {
      dir,
      publicDir,
      temporaryDir,
      head,
      ledgerDb,
      keys,
      ...kits(secrets, withheld),
      ...blobs(withheld, places),
      async copyDatabases(to) {
        await head.copyTo(join(to, 'lock'));
        for (const [name, db] of [['private.db', withheld], ['secrets.db', secrets]] as const) {
          await backup(db, join(to, name));
          chmodSync(join(to, name), 0o600);
        }
      },
      close() {
        for (const db of [secrets, withheld, ledgerDb]) db.close();
        head.close();
      },
    };
  } catch (error) {
    head.close();
    throw error;
  }
}

const SECRETS = `
  CREATE TABLE IF NOT EXISTS secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS pairing (meter BLOB PRIMARY KEY, key BLOB NOT NULL) STRICT;`;
/**
 * `blob.q` holds which of a meter's keys as well as which of its one-time keys: numberOf(). What is
 * erased is overwritten, not only unlinked from its table.
 */
const PRIVATE = `
  PRAGMA secure_delete = ON;
  CREATE TABLE IF NOT EXISTS name (meter BLOB PRIMARY KEY, name TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS blob (
    hash BLOB PRIMARY KEY, meter BLOB NOT NULL, q INTEGER, entryIndex INTEGER NOT NULL,
    bytes BLOB) STRICT;
  CREATE UNIQUE INDEX IF NOT EXISTS oneTimeKey ON blob (meter, q);
  CREATE INDEX IF NOT EXISTS blobByIndex ON blob (entryIndex);
  CREATE TABLE IF NOT EXISTS erasing (hash BLOB PRIMARY KEY, entryIndex INTEGER NOT NULL) STRICT;`;

function openDatabase(path: string, schema: string): DatabaseSync {
  const db = new DatabaseSync(path);
  chmodSync(path, 0o600);
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 2000');
  db.exec(schema);
  return db;
}

/**
 * The origin and the log's seed of a ledger that may be serving. Throws LedgerError `no-ledger`.
 */
export function readLogKey(dir: string): Pick<Keys, 'origin' | 'logSeed'> {
  const path = join(dir, 'secrets.db');
  if (!existsSync(path)) {
    const parts = { code: 'no-ledger', message: 'No ledger in this folder', got: dir };
    throw new LedgerError({ ...parts, hint: 'Start it once with `ledger serve`.' });
  }
  const secrets = new DatabaseSync(path, { readOnly: true });
  try {
    const get = secrets.prepare('SELECT value FROM secret WHERE name = ?');
    const [origin, seed] = ['origin', 'log-seed'].map((name) => get.get(name)!.value as Uint8Array);
    return { origin: new TextDecoder().decode(origin), logSeed: new Uint8Array(seed) };
  } finally {
    secrets.close();
  }
}

/** The ledger's own keys, made at its first start and never changed. */
async function readKeys(secrets: DatabaseSync, origin: string | undefined): Promise<Keys> {
  const get = (name: string): Uint8Array | undefined => {
    const row = secrets.prepare('SELECT value FROM secret WHERE name = ?').get(name);
    return row && new Uint8Array(row.value as Uint8Array);
  };
  const made = get('origin');
  if (made === undefined) {
    const put = secrets.prepare('INSERT INTO secret (name, value) VALUES (?, ?)');
    const age = await generateX25519Identity();
    secrets.exec('BEGIN IMMEDIATE');
    put.run('log-seed', new Uint8Array(randomBytes(32)));
    put.run('age-identity', new TextEncoder().encode(age));
    put.run('origin', new TextEncoder().encode(checkOrigin(origin ?? DEFAULT_ORIGIN)));
    secrets.exec('COMMIT');
    return readKeys(secrets, origin);
  }
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  if (origin !== undefined && origin !== text(made)) {
    const parts = { code: 'origin-differs', message: 'A ledger keeps its origin for life' };
    throw new LedgerError({ ...parts, expected: text(made), got: origin, exitCode: 2 });
  }
  const ageIdentity = text(get('age-identity')!);
  const ageRecipient = await identityToRecipient(ageIdentity);
  return { origin: text(made), logSeed: get('log-seed')!, ageIdentity, ageRecipient };
}

/** tlog-checkpoint: no spaces, no plus; docs/wire.md: printable ASCII, at most 96. */
function checkOrigin(origin: string): string {
  if (/^[\x21-\x2a\x2c-\x7e]{1,96}$/.test(origin)) return origin;
  const expected = 'printable ASCII without spaces or plus signs, at most 96 characters';
  const parts = { code: 'bad-origin', message: 'Origin refused', expected, got: origin };
  throw new LedgerError({ ...parts, exitCode: 2 });
}

function kits(
  secrets: DatabaseSync,
  withheld: DatabaseSync,
): Pick<Store, 'pairingKey' | 'keepKit' | 'privateName'> {
  const getKey = secrets.prepare('SELECT key FROM pairing WHERE meter = ?');
  const putKey = secrets.prepare('INSERT OR REPLACE INTO pairing (meter, key) VALUES (?, ?)');
  const putName = withheld.prepare('INSERT OR REPLACE INTO name (meter, name) VALUES (?, ?)');
  return {
    pairingKey(meterId) {
      const row = getKey.get(meterId);
      return row && new Uint8Array(row.key as Uint8Array);
    },
    keepKit(meterId, key, name) {
      putKey.run(meterId, key);
      putName.run(meterId, name);
    },
    privateName(meterId) {
      const row = withheld.prepare('SELECT name FROM name WHERE meter = ?').get(meterId);
      return row?.name as string | undefined;
    },
  };
}

export function blobPath(hash: Uint8Array): string {
  return `blob/${nameOf(hash)}`;
}

/** RFC 8554 § 5.4: q is a u32. A key an hour for two centuries stays exact. */
function numberOf(key: OneTimeKey | null): number | null {
  return key === null ? null : key.generation * 2 ** 32 + key.q;
}

function nameOf(hash: Uint8Array): string {
  return Buffer.from(hash).toString('hex');
}

type BlobStore = Pick<
  Store,
  | 'indexOf' | 'indicesOf' | 'signedWith' | 'blob' | 'disclose' | 'keep' | 'forgetFrom'
  | 'intendErasure' | 'finishErasures'
>;

function blobs(
  withheld: DatabaseSync,
  { publicDir, temporaryDir, onStep }: {
    publicDir: string;
    temporaryDir: string;
    onStep?: OnStep;
  },
): BlobStore {
  const publicPath = (hash: Uint8Array): string => join(publicDir, blobPath(hash));
  const getBytes = withheld.prepare('SELECT bytes FROM blob WHERE hash = ?');
  const getIndex = withheld.prepare('SELECT entryIndex FROM blob WHERE hash = ?');
  const getSigned = withheld.prepare('SELECT hash FROM blob WHERE meter = ? AND q = ?');
  const blob = (hash: Uint8Array): Uint8Array | null => {
    const row = getBytes.get(hash);
    if (row?.bytes) return new Uint8Array(row.bytes as Uint8Array);
    return existsSync(publicPath(hash)) ? new Uint8Array(readFileSync(publicPath(hash))) : null;
  };
  const put = withheld.prepare(
    'INSERT INTO blob (hash, meter, q, entryIndex, bytes) VALUES (?, ?, ?, ?, ?)',
  );
  const getIndices = withheld.prepare(
    'SELECT DISTINCT entryIndex FROM blob WHERE meter = ? ORDER BY entryIndex',
  );
  const intend = withheld.prepare('INSERT OR IGNORE INTO erasing (hash, entryIndex) VALUES (?, ?)');
  const drop = withheld.prepare('UPDATE blob SET bytes = NULL WHERE hash = ?');
  return {
    blob,
    indexOf: (hash) => getIndex.get(hash)?.entryIndex as number | undefined,
    signedWith(meterId, key) {
      const row = getSigned.get(meterId, numberOf(key));
      const hash = row && new Uint8Array(row.hash as Uint8Array);
      return hash && blob(hash) !== null ? hash : undefined;
    },
    async disclose(hashes, fresh) {
      await allWritten(hashes.map(async (hash) => {
        if (existsSync(publicPath(hash))) return;
        const bytes = fresh.find((one) => equal(one.hash, hash))?.bytes ?? blob(hash);
        // Erased: the entry stands, and the audit will call it missing, which it is.
        if (bytes !== null) await writeDurably(publicPath(hash), bytes, { temporaryDir, onStep });
      }));
    },
    keep(fresh, disclosed) {
      const shown = new Set(disclosed.map(nameOf));
      const hidden = (hash: Uint8Array): boolean => !shown.has(nameOf(hash));
      withheld.exec('BEGIN IMMEDIATE');
      try {
        for (const { hash, meterId, signedBy, index, bytes } of fresh) {
          put.run(hash, meterId, numberOf(signedBy), index, hidden(hash) ? bytes : null);
        }
        for (const hash of disclosed) drop.run(hash);
        withheld.exec('COMMIT');
      } catch (error) {
        // A full disk has ended the transaction already.
        if (withheld.isTransaction) withheld.exec('ROLLBACK');
        throw error;
      }
    },
    indicesOf: (meterId) => getIndices.all(meterId).map(({ entryIndex }) => entryIndex as number),
    intendErasure(hashes, index) {
      for (const hash of hashes) intend.run(hash, index);
    },
    async finishErasures() {
      const erasing = withheld.prepare('SELECT hash FROM erasing').all()
        .map(({ hash }) => new Uint8Array(hash as Uint8Array));
      if (erasing.length === 0) return;
      for (const hash of erasing) {
        rmSync(publicPath(hash), { force: true });
        drop.run(hash);
      }
      await onStep?.('erased blobs');
      if (existsSync(join(publicDir, 'blob'))) await syncDir(join(publicDir, 'blob'));
      withheld.exec('DELETE FROM erasing; PRAGMA wal_checkpoint(TRUNCATE)');
    },
    forgetFrom(size) {
      for (const table of ['blob', 'erasing']) {
        withheld.prepare(`DELETE FROM ${table} WHERE entryIndex >= ?`).run(size);
      }
    },
  };
}
