// A small disk of its own, which tests may fill, break and mend: tmpfs, or ext4 in a file. It is
// mounted in a mount namespace that a waiting process keeps: with the process it is gone.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, truncateSync, writeFileSync, writeSync }
  from 'node:fs';
import { join } from 'node:path';
import { system } from './loop.ts';

export interface SmallDisk {
  /** Where it is mounted, for whoever is inside. */
  path: string;
  /** The same place, as this process reaches it. */
  outside: string;
  /** The command line that runs `words` inside. */
  enter(words: string[]): string[];
  /** Leaves `freeBytes` for others, a block more or less. */
  fill(freeBytes: number): void;
  /** Takes back what {@link fill} took. */
  empty(): void;
  /** Only of ext4: what a damaged file system does to itself. */
  turnReadOnly(): void;
  /** Only of ext4: checks it and mounts it again. Nobody may have it open. */
  mend(): void;
  remove(): Promise<void>;
}

const BLOCK_BYTES = 4_096;

export async function createSmallDisk(
  dir: string, { type, sizeBytes }: { type: 'tmpfs' | 'ext4'; sizeBytes: number },
): Promise<SmallDisk> {
  const [path, file] = [join(dir, 'disk'), join(dir, 'disk.ext4')];
  mkdirSync(path);
  if (type === 'ext4') {
    writeFileSync(file, '');
    truncateSync(file, sizeBytes);
    system('mkfs.ext4', ['-q', '-m', '0', '-e', 'remount-ro', file]);
  }
  const mount = type === 'tmpfs'
    ? ['mount', '-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', path]
    : ['mount', '-o', 'loop', file, path];
  const keeper = await holdNamespace(mount);
  const enter = (words: string[]): string[] =>
    ['nsenter', '--mount', '--target', String(keeper.pid), '--', ...words];
  const inside = (...words: string[]): string => {
    const [tool, ...rest] = enter(words);
    return system(tool, rest);
  };
  const outside = join('/proc', String(keeper.pid), 'root', path);
  const filler = join(outside, 'filler');
  return {
    path,
    outside,
    enter,
    fill(freeBytes) {
      const handle = openSync(filler, 'a');
      try {
        for (;;) {
          const { bavail, bsize } = statfsSync(outside);
          const blocks = Math.floor((bavail * bsize - freeBytes) / BLOCK_BYTES);
          if (blocks < 1) break;
          writeSync(handle, new Uint8Array(Math.min(blocks, 256) * BLOCK_BYTES));
        }
      } catch (error) {
        // Its own bookkeeping takes blocks too.
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        closeSync(handle);
      }
    },
    empty: () => rmSync(filler, { force: true }),
    turnReadOnly() {
      const device = inside('findmnt', '-no', 'SOURCE', path).trim().replace('/dev/', '');
      writeFileSync(`/sys/fs/ext4/${device}/trigger_fs_error`, 'a test breaks it');
    },
    mend() {
      inside('umount', path);
      // 1: errors were corrected.
      system('sh', ['-c', `e2fsck -p ${file} || [ $? = 1 ]`]);
      inside(...mount);
    },
    async remove() {
      const gone = once(keeper, 'exit');
      keeper.stdin!.end();
      await gone;
      rmSync(file, { force: true });
    },
  };
}

async function holdNamespace(mount: string[]): Promise<ChildProcess> {
  const script = '"$@" && echo mounted && exec cat';
  const words = ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', ...mount];
  const keeper = spawn('unshare', words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const first = await Promise.race([once(keeper.stdout, 'data'), once(keeper, 'exit')]);
  if (!String(first[0]).startsWith('mounted')) throw new Error('the small disk was not mounted');
  return keeper;
}
