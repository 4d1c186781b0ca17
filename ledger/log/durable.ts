// The one way in which the ledger makes a file that others may rely on. After it returns, the file
// is there, whole, whatever happens next; before, the old file (or none) is. Never appends in
// place.
//
// Only what waits for the disk is asynchronous. Whatever is changes threads twice, and while every
// core verifies signatures each change waits its turn: nine of them made most of an ack's wait.

import {
  closeSync, fsync, mkdirSync, openSync, renameSync, rmSync, writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

/**
 * Told of each step that reached the disk. Tests cut the process, or fill the disk, at any of them.
 * What it throws or rejects with fails the write at that step.
 */
export type OnStep = (step: string) => void | Promise<void>;

export interface DurableOptions {
  /** For files that are not yet whole; on the same file system, swept at start. */
  temporaryDir: string;
  onStep?: OnStep;
  /** Runs while the bytes are being synced; has ended well before anybody sees them. */
  meanwhile?: () => void | Promise<void>;
}

const sync = promisify(fsync);
let counter = 0;

export async function writeDurably(
  path: string,
  bytes: Uint8Array,
  { temporaryDir, onStep = () => {}, meanwhile = () => {} }: DurableOptions,
): Promise<void> {
  const name = basename(path);
  await makeDirDurably(dirname(path));
  const temporary = join(temporaryDir, `${process.pid}-${counter++}-${name}`);
  const file = openSync(temporary, 'wx', 0o644);
  try {
    writeFileSync(file, bytes);
    await onStep(`written ${name}`);
    // Without this, the rename may reach the disk before the bytes: an empty file under a good
    // name.
    await allWritten([sync(file), (async () => meanwhile())()]);
  } finally {
    closeSync(file);
  }
  await onStep(`synced ${name}`);
  // Readers see the old file or the new one, never a part.
  renameSync(temporary, path);
  await onStep(`renamed ${name}`);
  // Without this, a power cut may take the new name back after it was relied on.
  await syncDir(dirname(path));
  await onStep(`durable ${name}`);
}

/**
 * Waits until every write has ended, well or not, before it says that one failed: whoever cleans up
 * after a failure must not meet a write that is still on its way.
 */
export async function allWritten(writes: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(writes);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Rejects unless the folder's disk takes `sizeBytes` more; leaves nothing there. */
export async function checkRoom(dir: string, sizeBytes: number): Promise<void> {
  mkdirSync(dir, { recursive: true });
  const path = join(dir, `${process.pid}-${counter++}-room`);
  const file = openSync(path, 'wx', 0o600);
  try {
    writeFileSync(file, new Uint8Array(sizeBytes));
    await sync(file);
  } finally {
    closeSync(file);
    rmSync(path);
  }
}

/** Makes a folder and those above it; each new name is durable in the folder that holds it. */
export async function makeDirDurably(dir: string): Promise<void> {
  const first = mkdirSync(dir, { recursive: true });
  if (first === undefined) return;
  for (let made = dir; ; made = dirname(made)) {
    await syncDir(dirname(made));
    if (made === first) return;
  }
}

export async function syncDir(dir: string): Promise<void> {
  const folder = openSync(dir, 'r');
  try {
    await sync(folder);
  } finally {
    closeSync(folder);
  }
}
