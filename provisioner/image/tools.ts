// The tools that lay out a drive, of one Debian release whatever the bench's own: each is unpacked
// and started through its own dynamic loader and libraries, so no chroot, mount or privilege is
// needed, and every bench makes the same bytes.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { KitError } from '../errors.ts';
import type { Archives } from './package-cache.ts';
import { run } from './run.ts';

export interface Tools {
  /** Path of a file in the tree. */
  file(path: string): string;
  /** Runs e.g. `sbin/mke2fs`. */
  run(tool: string, args: readonly string[], input?: string): Promise<string>;
}

/** mke2fs 1.47.2 takes a tar and makes the same file system of it whenever it is asked. */
export const toolsRelease = 'trixie';
export const toolPackages = [
  ...['dosfstools', 'e2fsprogs', 'fdisk', 'grub-common', 'libarchive-tools', 'libarchive13t64'],
  'mtools',
];

const libraries = 'usr/lib/x86_64-linux-gnu';
const loader = 'usr/lib64/ld-linux-x86-64.so.2';

/** @throws KitError `bench-arch-unsupported` */
export function requireBenchArch(): 'amd64' {
  if (process.arch === 'x64') return 'amd64';
  throw new KitError({
    code: 'bench-arch-unsupported',
    message: 'images can be built on amd64 machines only, so far',
    expected: 'x64',
    got: process.arch,
    hint: 'Build it on such a machine, and name it with --image FILE when flashing.',
  });
}

export interface ToolsJob {
  /** Of the lock's tools and boot loaders. */
  archives: Archives;
  dir: string;
  epochS: number;
  log: (text: string) => void;
}

/** Unpacks the archives into `dir`. */
export async function openTools({ archives, dir, epochS, log }: ToolsJob): Promise<Tools> {
  await mkdir(dir, { recursive: true });
  const loop = 'dir=$1; shift; for file do dpkg-deb --extract "$file" "$dir" || exit 1; done';
  const paths = [...archives.values()].sort();
  await run(['sh', '-c', loop, 'sh', dir, ...paths], { name: 'dpkg-deb' });
  const file = (path: string) => join(dir, path);
  const env = {
    SOURCE_DATE_EPOCH: String(epochS),
    // The loader's libraries look for their own data under /usr unless told otherwise.
    GCONV_PATH: file(`${libraries}/gconv`),
    MKE2FS_CONFIG: file('etc/mke2fs.conf'),
    MTOOLSRC: '/dev/null',
  };
  return {
    file,
    run(tool, args, input) {
      log(`${tool} ${args.join(' ')}`);
      const started = [file(loader), '--argv0', tool, '--library-path', file(libraries)];
      const argv = [...started, file(`usr/${tool}`), ...args];
      return run(argv, { name: tool, env, input, onErrorLine: log });
    },
  };
}
