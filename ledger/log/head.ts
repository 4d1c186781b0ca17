// The ledger folder's `lock`: who may write, and the newest checkpoint that this log has signed.
//
// A SQLite file held in exclusive locking mode for as long as the process lives: the kernel's own
// file lock, gone with the process, however it dies. In it one row, replaced by compare-and-swap:
// the checkpoint is here before the public sees it, so that no crash and no restored disk makes
// this log sign two histories. It never holds entries or keys.

import { readFileSync, statSync } from 'node:fs';
import { backup, DatabaseSync } from 'node:sqlite';
import { LedgerError } from '../errors.ts';

export interface Head {
  size: number;
  /** The signed checkpoint. */
  note: Uint8Array;
}

export interface HeadStore {
  read(): Head | undefined;
  /** Replaces the head whose size is `oldSize` (undefined: there is none); durable on return. */
  swap(oldSize: number | undefined, head: Head): void;
  /** Copies it, for a backup. */
  copyTo(path: string): Promise<void>;
  close(): void;
}

/** Takes the lock. Throws LedgerError `ledger-in-use`. */
export function openHead(path: string): HeadStore {
  const db = new DatabaseSync(path);
  try {
    db.exec('PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL');
    db.exec('PRAGMA synchronous = FULL');
    // In exclusive mode the first write takes the lock, and keeps it.
    db.exec(`CREATE TABLE IF NOT EXISTS head
      (id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, note BLOB NOT NULL) STRICT;
      BEGIN IMMEDIATE; PRAGMA user_version = 1; COMMIT`);
  } catch (cause) {
    db.close();
    if (!/locked|busy/i.test(String(cause))) throw cause;
    throw new LedgerError({
      code: 'ledger-in-use',
      message: 'Another process writes this ledger',
      got: lockHolder(path),
      hint: 'Stop that process, or use another --dir.',
      cause,
    });
  }
  return {
    read() {
      const row = db.prepare('SELECT size, note FROM head').get() as Head | undefined;
      return row && { size: row.size, note: new Uint8Array(row.note) };
    },
    swap(oldSize, { size, note }) {
      const result = oldSize === undefined
        ? db.prepare('INSERT OR IGNORE INTO head (id, size, note) VALUES (1, ?, ?)').run(size, note)
        : db.prepare('UPDATE head SET size = ?, note = ? WHERE size = ?').run(size, note, oldSize);
      if (Number(result.changes) === 1) return;
      const expected = `a head of size ${oldSize ?? 'none'}`;
      const parts = { code: 'head-moved', message: 'Checkpoint not replaced', expected };
      throw new LedgerError({ ...parts, got: 'another' });
    },
    async copyTo(to) {
      await backup(db, to);
    },
    close: () => db.close(),
  };
}

/** Names the process that holds a lock on the file, by /proc/locks. */
function lockHolder(path: string): string {
  try {
    const { ino } = statSync(path);
    const line = readFileSync('/proc/locks', 'latin1')
      .split('\n')
      .find((text) => text.includes(`:${ino} `));
    const pid = line?.trim().split(/\s+/)[4];
    return pid === undefined ? 'its lock is held' : `its lock is held by process ${pid}`;
  } catch {
    // /proc may be hidden: the refusal stands without the name.
    return 'its lock is held';
  }
}
