// Copies a ledger's folder while the ledger is at work: what the copy holds is the ledger as it stood
// at one moment, and starts as it is. Projections are left out, they grow again. Files that never
// change are copied while the ledger goes on; for the rest it stands still, about a second for each
// hundred megabytes of private.db.

import { copyFile, mkdir, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { LedgerError } from './errors.ts';
import { syncDir } from './log/durable.ts';
import type { Pool } from './pool.ts';
import type { Store } from './store.ts';

type Copied = Pick<Store, 'publicDir' | 'copyDatabases'>;

/** Throws LedgerError `backup-exists` unless `to` is new. Resolves when the copy is durable. */
export async function backUp(
  store: Copied, pool: Pick<Pool<unknown>, 'between'>, to: string,
): Promise<{ files: number }> {
  if (existsSync(to)) {
    const parts = { code: 'backup-exists', message: 'Backup refused', expected: 'a new folder' };
    throw new LedgerError({ ...parts, got: to, hint: 'Name one that is not there.', exitCode: 2 });
  }
  await mkdir(dirname(to), { recursive: true });
  // Under another name until it is whole: what was cut off must not pass for a backup.
  const part = await mkdtemp(`${to}.part-`);
  try {
    const files = await copyAll(store, pool, part);
    await rename(part, to);
    await syncDir(dirname(to));
    return { files };
  } catch (error) {
    await rm(part, { recursive: true, force: true });
    throw error;
  }
}

/** Resolves to the number of public files. */
async function copyAll(
  store: Copied, pool: Pick<Pool<unknown>, 'between'>, to: string,
): Promise<number> {
  const copy = (name: string): Promise<void> =>
    copyDurably(join(store.publicDir, name), join(to, 'public', name));
  const lasting = await pool.between(async () => {
    await store.copyDatabases(to);
    const names = await filesIn(store.publicDir);
    const changing = names.filter(changes);
    for (const name of changing) await copy(name);
    return names.filter((name) => !changes(name));
  });
  for (const name of lasting) await copy(name);
  return (await filesIn(join(to, 'public'))).length;
}

/** The checkpoint is replaced, and partial tiles go once the full one is there. */
function changes(name: string): boolean {
  return name === 'checkpoint' || name.includes('.p/');
}

async function filesIn(dir: string): Promise<string[]> {
  const found = await readdir(dir, { recursive: true, withFileTypes: true });
  return found
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1));
}

async function copyDurably(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to);
  const file = await open(to, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await syncDir(dirname(to));
}
