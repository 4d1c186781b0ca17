// What must hold before a build starts, and a folder for it to work in. Each check that fails is an
// error of its own; nothing outside the work folder is changed.

import { mkdir, readdir, readFile, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { KitError } from '../errors.ts';
import type { ImageFolder } from './folder.ts';
import { compareLock, type RoledPackage } from './package-list.ts';
import { requireTools } from './run.ts';
import { keyring } from './tree.ts';

/** 3 GiB: the tree as files, as tar, in the raw image, and the package archives, with a margin. */
const NEEDED_BYTES = 3 * 1024 ** 3;

/** @throws KitError `tool-missing`, `keyring-missing`, `no-space` */
export async function requireMeans(workDir: string): Promise<void> {
  await requireTools(['mmdebstrap', 'apt-get', 'setpriv', 'tar', 'unshare', ...userTools()]);
  await requireKeyring();
  await requireSpace(workDir);
}

function userTools(): string[] {
  return process.getuid?.() === 0 ? [] : ['newuidmap'];
}

async function requireKeyring(): Promise<void> {
  await stat(keyring).catch((cause: unknown) => {
    throw new KitError({
      code: 'keyring-missing',
      message: "Debian's signatures cannot be checked",
      expected: keyring,
      got: 'no such file',
      hint: 'Run: apt-get install debian-archive-keyring',
      cause,
    });
  });
}

async function requireSpace(dir: string): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  if (bavail * bsize >= NEEDED_BYTES) return;
  throw new KitError({
    code: 'no-space',
    message: `too little space to build an image in ${dir}`,
    expected: `${NEEDED_BYTES} bytes free`,
    got: `${bavail * bsize} bytes free`,
    hint: 'Free some space, or name a folder on another drive with --out.',
  });
}

/**
 * A folder of this build's own; those of builds that are dead are removed.
 * @throws KitError `build-running`
 */
export async function openWorkDir(outDir: string, fullName: string): Promise<string> {
  await mkdir(outDir, { recursive: true });
  const prefix = `.${fullName}.build-`;
  for (const name of await readdir(outDir)) {
    if (name.startsWith(prefix) && !isAlive(Number(name.slice(prefix.length)))) {
      await rm(join(outDir, name), { recursive: true, force: true });
    }
  }
  const workDir = join(outDir, `${prefix}${process.pid}`);
  await mkdir(workDir).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EEXIST') throw cause;
    throw new KitError({
      code: 'build-running',
      message: `this image is being built in ${outDir} already`,
      hint: 'Wait for that build.',
      cause,
    });
  });
  return workDir;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return pid !== process.pid;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** @throws KitError `lock-missing`, `lock-differs` */
export async function requireLocked(folder: ImageFolder, packages: RoledPackage[]): Promise<void> {
  const lock = await readFile(folder.lockFile, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
    throw new KitError({
      code: 'lock-missing',
      message: `image ${folder.name} has no lock to hold to`,
      expected: folder.lockFile,
      got: 'no such file',
      hint: 'Build without --frozen, and keep its packages.lock there.',
      cause,
    });
  });
  const { unlocked, absent } = compareLock(lock, packages);
  if (unlocked.length + absent.length === 0) return;
  const some = (lines: string[]) =>
    [...lines.slice(0, 5), ...(lines.length > 5 ? [`${lines.length - 5} more`] : [])].join('; ');
  throw new KitError({
    code: 'lock-differs',
    message: 'the mirror offers other packages than the lock holds',
    expected: some(absent) || 'nothing beyond the lock',
    got: some(unlocked) || 'packages of the lock left out',
    hint: 'Look at what changed, build without --frozen, and keep the new packages.lock.',
  });
}
