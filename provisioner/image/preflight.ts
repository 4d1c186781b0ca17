// What must hold before a build starts, and a folder for it to work in. Each check that fails is an
// error of its own; nothing outside the work folder is changed.

import { access, mkdir, readdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { KitError } from '../errors.ts';
import { debianKeyring } from './apt-sources.ts';
import type { Arch } from './folder.ts';
import { requireTools } from './run.ts';

/** 3 GiB: the tree as files, as tar, in the raw image, and the package archives, with a margin. */
const NEEDED_BYTES = 3 * 1024 ** 3;

/** @throws KitError `tool-missing`, `keyring-missing`, `emulator-missing`, `no-space` */
export async function requireMeans(workDir: string, arch: Arch): Promise<void> {
  const tools = ['mmdebstrap', 'apt-get', 'dpkg-deb', 'setpriv', 'tar', 'unshare'];
  await requireTools([...tools, ...userTools()]);
  await requireKeyring();
  await requireEmulator(arch);
  await requireSpace(workDir);
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
async function requireEmulator(arch: Arch): Promise<void> {
  if (arch !== 'arm64' || process.arch === 'arm64') return;
  const handler = '/proc/sys/fs/binfmt_misc/qemu-aarch64';
  await access(handler).catch((cause: unknown) => {
    throw new KitError({
      code: 'emulator-missing',
      message: 'this machine does not run programs of arm64, which setting up its packages needs',
      expected: handler,
      got: 'no such handler',
      hint: 'Run: apt-get install qemu-user-static binfmt-support',
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
