// Trees kept between builds under a key of all that decides their bytes. Each is one folder that
// appears by a rename:
//
//   trees/KEY/tree.tar
//   trees/KEY/packages
//   trees/KEY/sums       SHA256SUMS of the two, held against them at each use
//
// After a power cut a file may be shorter than its name promises: such a tree is made anew. A build
// links or copies what it uses into its own folder first: the cache may vanish at any moment.

import { createHash } from 'node:crypto';
import { constants, copyFile, link, mkdir, readdir, readFile } from 'node:fs/promises';
import { rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Of } from './package-cache.ts';
import type { Recipe, Tree } from './tree.ts';

/** Trees kept beyond the newest are a few hundred MB each: four serve two images. */
const KEPT_TREES = 4;

/** Raised when trees come to be made or kept in another way that no recipe tells. */
const MAKING = 4;

/** The key of a tree: what it is made of and how, and what is laid over it. */
export function treeKey(recipe: Recipe, overlayTar: Uint8Array): string {
  const overlay = createHash('sha256').update(overlayTar).digest('hex');
  return createHash('sha256').update(JSON.stringify({ making: MAKING, recipe, overlay })).digest('hex');
}

/** The tree of that key in `workDir`, if the cache has it whole. */
export async function takeTree(
  cacheDir: string,
  key: string,
  workDir: string,
): Promise<Tree | undefined> {
  const kept = join(cacheDir, 'trees', key);
  const [tar, packages] = ['tree.tar', 'packages'].map((name) => join(workDir, name));
  try {
    await mkdir(workDir, { recursive: true });
    await linkOrCopy(join(kept, 'packages'), packages);
    await linkOrCopy(join(kept, 'tree.tar'), tar);
    const tree = { tar, packages, sha256: await sha256Of(tar) };
    if ((await readFile(join(kept, 'sums'), 'utf8')) === (await sumsOf(tree))) return tree;
    await rm(kept, { recursive: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  await rm(workDir, { recursive: true });
  return undefined;
}

async function sumsOf({ sha256, packages }: Tree): Promise<string> {
  return `${sha256}  tree.tar\n${await sha256Of(packages)}  packages\n`;
}

/** Keeps a tree for later builds, and forgets the oldest. */
export async function keepTree(cacheDir: string, key: string, tree: Tree): Promise<void> {
  const trees = join(cacheDir, 'trees');
  const part = join(trees, `.${key}.${process.pid}`);
  await mkdir(part, { recursive: true });
  await linkOrCopy(tree.tar, join(part, 'tree.tar'));
  await linkOrCopy(tree.packages, join(part, 'packages'));
  await writeFile(join(part, 'sums'), await sumsOf(tree));
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
