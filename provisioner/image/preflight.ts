// What must hold before a build starts, and a folder for it to work in. Each check that fails is an
// error of its own; nothing outside the work folder is changed.

import { access, mkdir, readdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { KitError } from '../errors.ts';
import { debianKeyring } from './apt-sources.ts';
import type { Arch } from './folder.ts';
import { requireTools } from './run.ts';

/**
 * What a build needs for each byte of its package archives: twice and a half of it is the tree, which
 * stands as files, as tar, as a file system and in the raw image, and once compressed; a sixth more.
 */
const BYTES_PER_ARCHIVE_BYTE = 12;

/** @throws KitError `tool-missing`, `keyring-missing`, `emulator-missing` */
export async function requireMeans(arch: Arch): Promise<void> {
  const tools = ['mmdebstrap', 'apt-get', 'dpkg-deb', 'setpriv', 'tar', 'unshare'];
  // mmdebstrap asks arch-test whether the emulator works before it makes a foreign tree.
  const isForeign = arch === 'arm64' && process.arch !== 'arm64';
  await requireTools([...tools, ...userTools(), ...(isForeign ? ['arch-test'] : [])]);
  await requireKeyring();
  if (isForeign) await requireEmulator();
}

function userTools(): string[] {
  return process.getuid?.() === 0 ? [] : ['newuidmap'];
}

async function requireKeyring(): Promise<void> {
  await stat(debianKeyring).catch((cause: unknown) => {
    throw new KitError({
      code: 'keyring-missing',
      message: "Debian's signatures cannot be checked",
      expected: debianKeyring,
      got: 'no such file',
      hint: 'Run: apt-get install debian-archive-keyring',
      cause,
    });
  });
}

/** Programs of another architecture run in the tree while its packages are set up. */
async function requireEmulator(): Promise<void> {
  const handler = '/proc/sys/fs/binfmt_misc/qemu-aarch64';
  await access(handler).catch((cause: unknown) => {
    throw new KitError({
      code: 'emulator-missing',
      message: 'this machine does not run programs of arm64, which setting up its packages needs',
      expected: handler,
      got: 'no such handler',
      hint: 'Run: apt-get install qemu-user-static binfmt-support arch-test',
      cause,
    });
  });
}

/** @param archives paths of all that goes in @throws KitError `no-space` */
export async function requireSpace(dir: string, archives: Iterable<string>): Promise<void> {
  const sizes = await Promise.all([...archives].map(async (path) => (await stat(path)).size));
  const neededBytes = sizes.reduce((sum, size) => sum + size, 0) * BYTES_PER_ARCHIVE_BYTE;
  const { bavail, bsize } = await statfs(dir);
  if (bavail * bsize >= neededBytes) return;
  throw new KitError({
    code: 'no-space',
    message: `too little space to build an image in ${dir}`,
    expected: `${neededBytes} bytes free`,
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
      expected: 'one build of an image in a folder at a time',
      got: `${workDir}, which is in use`,
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
