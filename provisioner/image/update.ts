// Renews an image's lock: what the mirrors offer today in place of what was locked. Builds nothing.

import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { replaceDurably } from '../campaign/durable.ts';
import type { Output } from '../terminal.ts';
import { askMirrors, defaultCacheDir } from './build.ts';
import { readImageFolder } from './folder.ts';
import { changeText, compareLocks, formatLock, type Lock, parseLock } from './lock.ts';
import { requireBenchArch } from './tools.ts';

export interface UpdateOptions {
  name: string;
  arch?: string;
  imagesDir?: string;
  cacheDir?: string;
}

export interface Update {
  lockFile: string;
  packages: number;
  /** A line each: `~ root snac2 2.75-2 → 2.76-1`. Empty: the lock is left as it was. */
  changes: string[];
}

/** @throws KitError those of resolveImage; the lock is then as it was */
export async function updateLock(
  options: UpdateOptions,
  event: Output['event'] = () => {},
): Promise<Update> {
  const folder = await readImageFolder(options.name, options.arch ?? 'amd64', options.imagesDir);
  const report = (text: string) => event({ type: 'image', image: folder.name, text });
  const aptDir = join(resolve(options.cacheDir ?? defaultCacheDir()), 'apt');
  const benchArch = requireBenchArch();
  const { lock } = await askMirrors(folder, { aptDir, benchArch, report });
  const before = await lockBefore(folder.lockFile);
  const changes = compareLocks(before, lock).map(changeText);
  if (changes.length > 0) await replaceDurably(folder.lockFile, formatLock(lock));
  return { lockFile: folder.lockFile, packages: lock.packages.length, changes };
}

async function lockBefore(file: string): Promise<Lock> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  return text === undefined ? { epochS: 0, packages: [] } : parseLock(text, file);
}
