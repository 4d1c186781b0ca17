// Trees kept between builds under a key of all that decides their bytes. Each is one folder,
// `trees/KEY/{tree.tar,packages}`, that appears by a rename and so is whole or absent. A build
// links or copies what it uses into its own folder first: the cache may vanish at any moment.

import { createHash } from 'node:crypto';
import { constants, copyFile, link, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Recipe, Tree } from './tree.ts';

/** Trees kept beyond the newest are a few hundred MB each: four serve two images. */
const KEPT_TREES = 4;

/** Raised when trees come to be made in another way that no recipe tells. */
const MAKING = 3;

/** The key of a tree: what it is made of and how, and what is laid over it. */
export function treeKey(recipe: Recipe, overlayTar: Uint8Array): string {
  const overlay = createHash('sha256').update(overlayTar).digest('hex');
  return createHash('sha256').update(JSON.stringify({ making: MAKING, recipe, overlay })).digest('hex');
}

/** The tree of that key in `workDir`, if the cache has it. */
export async function takeTree(
  cacheDir: string,
  key: string,
  workDir: string,
): Promise<Tree | undefined> {
  const kept = join(cacheDir, 'trees', key);
  const tree = { tar: join(workDir, 'tree.tar'), packages: join(workDir, 'packages') };
  try {
    await mkdir(workDir, { recursive: true });
    await linkOrCopy(join(kept, 'packages'), tree.packages);
    await linkOrCopy(join(kept, 'tree.tar'), tree.tar);
    return tree;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await rm(workDir, { recursive: true });
    return undefined;
  }
}

/** Keeps a tree for later builds, and forgets the oldest. */
export async function keepTree(cacheDir: string, key: string, tree: Tree): Promise<void> {
  const trees = join(cacheDir, 'trees');
  const part = join(trees, `.${key}.${process.pid}`);
  await mkdir(part, { recursive: true });
  await linkOrCopy(tree.tar, join(part, 'tree.tar'));
  await linkOrCopy(tree.packages, join(part, 'packages'));
  try {
    await rename(part, join(trees, key));
  } catch (error) {
    // Another build was first with the same tree.
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    await rm(part, { recursive: true });
  }
  await forgetOldest(trees);
}

async function forgetOldest(trees: string): Promise<void> {
  const names = (await readdir(trees)).filter((name) => /^[0-9a-f]{64}$/.test(name));
  const aged = await Promise.all(
    names.map(async (name) => ({ name, ms: (await stat(join(trees, name))).ctimeMs })),
  );
  const old = aged.sort((a, b) => b.ms - a.ms).slice(KEPT_TREES);
  await Promise.all(
    old.map(({ name }) => rm(join(trees, name), { recursive: true, force: true })),
  );
}

/** A second name for the same bytes where the file system allows, else a copy. */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!['EXDEV', 'EPERM', 'EMLINK'].includes(code ?? '')) throw error;
    await copyFile(from, to, constants.COPYFILE_FICLONE);
  }
}
