// Two trees of files, held against each other: the first path, in the order of their names, at which
// they differ, and in what.

import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';

export interface TreeDifference {
  /** From the trees' top, without a leading slash. */
  path: string;
  what: 'missing' | 'added' | 'kind' | 'content' | 'mode' | 'owner' | 'time' | 'target';
}

/** Undefined when the trees are the same in all that is compared. Times by the second. */
export async function firstDifference(
  wanted: string,
  found: string,
  path = '',
): Promise<TreeDifference | undefined> {
  const [here, there] = [join(wanted, path), join(found, path)];
  const names = await Promise.all([here, there].map((dir) => readdir(dir)));
  const [before, after] = names.map((list) => new Set(list));
  for (const name of [...before.union(after)].sort()) {
    const inner = path === '' ? name : `${path}/${name}`;
    if (!after.has(name)) return { path: inner, what: 'missing' };
    if (!before.has(name)) return { path: inner, what: 'added' };
    const difference = await entryDifference(wanted, found, inner);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

async function entryDifference(
  wanted: string,
  found: string,
  path: string,
): Promise<TreeDifference | undefined> {
  const files = [join(wanted, path), join(found, path)];
  const [a, b] = await Promise.all(files.map((file) => lstat(file)));
  if ((a.mode & 0o170000) !== (b.mode & 0o170000)) return { path, what: 'kind' };
  if (a.isSymbolicLink()) {
    const [from, to] = await Promise.all(files.map((file) => readlink(file)));
    return from === to ? undefined : { path, what: 'target' };
  }
  if (a.isFile() && !(await sameContent(files))) return { path, what: 'content' };
  if (a.mode !== b.mode) return { path, what: 'mode' };
  if (a.uid !== b.uid || a.gid !== b.gid) return { path, what: 'owner' };
  // A folder's time is told after what lies in it: that is likely the cause.
  const inner = a.isDirectory() ? await firstDifference(wanted, found, path) : undefined;
  if (inner !== undefined) return inner;
  return Math.trunc(a.mtimeMs / 1000) === Math.trunc(b.mtimeMs / 1000)
    ? undefined
    : { path, what: 'time' };
}

async function sameContent(files: string[]): Promise<boolean> {
  const hashes = await Promise.all(
    files.map(async (file) => createHash('sha256').update(await readFile(file)).digest('hex')),
  );
  return hashes[0] === hashes[1];
}
