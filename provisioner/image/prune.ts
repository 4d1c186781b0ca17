// Archives in the cache that no lock names any more: what the locks of image folders, of built images
// and of whoever asks do not hold is superseded. Nothing goes unless told to; an archive that is gone
// may be at no mirror any more, so a lock that is to be built of again must be named.

import { glob, readFile, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { KitError } from '../errors.ts';
import { defaultCacheDir } from './build.ts';
import { imagesDir as ownImagesDir } from './folder.ts';
import { parseLock } from './lock.ts';
import { archiveName } from './stanza.ts';

export interface PruneOptions {
  /** Where images' folders stand; default: this repository's images/. */
  imagesDir?: string;
  /** Where built images lie. */
  outDir: string;
  /** Locks besides those. */
  keep?: readonly string[];
  cacheDir?: string;
  /** Without it, only told. */
  remove?: boolean;
}

export interface Pruned {
  /** The locks that were asked. */
  locks: string[];
  keptArchives: number;
  superseded: { archive: string; sizeBytes: number }[];
  removed: boolean;
}

/** No build may run meanwhile. @throws KitError `lock-missing`, `lock-malformed`; nothing is removed */
export async function prunePackages(options: PruneOptions): Promise<Pruned> {
  const imagesDir = options.imagesDir ?? ownImagesDir;
  const locks = [
    ...(await matches(imagesDir, '*/*.packages.lock')),
    ...(await matches(resolve(options.outDir), '*.packages.lock')),
    ...(options.keep ?? []).map((file) => resolve(file)),
  ];
  // That would be everything, which is `kit clean`'s to remove.
  if (locks.length === 0) throw lockMissing(join(imagesDir, 'NAME/ARCH.packages.lock'));
  const named = new Set((await Promise.all(locks.map(archivesOf))).flat());
  const dir = join(resolve(options.cacheDir ?? defaultCacheDir()), 'packages');
  const archives = (await matches(dir, '*.deb')).map((path) => path.slice(dir.length + 1));
  const superseded = await Promise.all(
    archives
      .filter((archive) => !named.has(archive))
      .map(async (archive) => ({ archive, sizeBytes: (await stat(join(dir, archive))).size })),
  );
  if (options.remove) for (const { archive } of superseded) await rm(join(dir, archive));
  const keptArchives = archives.length - superseded.length;
  return { locks, keptArchives, superseded, removed: options.remove === true };
}

/** Paths in order; none where the folder is not there. */
async function matches(dir: string, pattern: string): Promise<string[]> {
  const names = await Array.fromAsync(glob(pattern, { cwd: dir }));
  return names.sort().map((name) => join(dir, name));
}

async function archivesOf(lockFile: string): Promise<string[]> {
  const text = await readFile(lockFile, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
    throw lockMissing(lockFile, cause);
  });
  return parseLock(text, lockFile).packages.map(archiveName);
}

function lockMissing(expected: string, cause?: unknown): KitError {
  return new KitError({
    code: 'lock-missing',
    message: 'it is not known which packages are still wanted',
    expected,
    got: 'no such file',
    hint: 'Name a lock with --keep; `kit clean` removes the whole cache.',
    exitCode: 2,
    cause,
  });
}
