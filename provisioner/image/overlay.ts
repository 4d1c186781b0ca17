// The overlay: an image's trees, one laid over the other, and the files that the builder derives
// for it, as entries of one archive. What counts of a file is its bytes, its being executable, and
// its being a link: owner, umask and times of the checkout never reach the image.

import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { KitError } from '../errors.ts';
import type { TarEntry } from './tar.ts';

// On a merged-/usr system these are links: an archive member below one would replace it.
const merged = /^(bin|sbin|lib|lib32|lib64|libx32)(\/|$)/;

/** Reads the trees, a later one's files in place of an earlier one's; no folder stands for itself. */
export async function readOverlay(rootDirs: readonly string[]): Promise<TarEntry[]> {
  const trees = await Promise.all(rootDirs.map(readTree));
  return [...new Map(trees.flat().map((entry) => [entry.path, entry])).values()];
}

async function readTree(rootDir: string): Promise<TarEntry[]> {
  const entries = await readdir(rootDir, { recursive: true, withFileTypes: true });
  const leaves = entries.filter((entry) => !entry.isDirectory());
  return Promise.all(
    leaves.map(async (entry) => {
      const file = join(entry.parentPath, entry.name);
      const path = file.slice(rootDir.length + 1);
      if (merged.test(path)) throw overlayFault(path, `usr/${path}`, path);
      if (entry.isSymbolicLink()) return { path, target: await readlink(file) };
      if (!entry.isFile()) throw overlayFault(path, 'a file or a symbolic link', 'neither');
      const executable = ((await stat(file)).mode & 0o100) !== 0;
      return { path, mode: executable ? 0o755 : 0o644, content: await readFile(file) };
    }),
  );
}

function overlayFault(path: string, expected: string, got: string): KitError {
  return new KitError({
    code: 'image-overlay-malformed',
    message: `${path} cannot stand in an image's tree`,
    expected,
    got,
    hint: 'Take it out of the overlay, or make it what is expected.',
    exitCode: 2,
  });
}
