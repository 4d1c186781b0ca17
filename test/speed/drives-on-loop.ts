// Loop devices that stand for drives while they are timed: as fast as memory, or held to a card's
// pace by the kernel's own block throttling (cgroup v1's blkio, in the root group, which also holds
// the kernel's flushers: neither O_DIRECT nor the page cache gets round it).

import { existsSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import { attachLoop, type LoopDrive } from '../helpers/loop.ts';

/** An SD card of speed class 10 and a cheap stick write about as fast. */
export const cardBytesPerSecond = 20e6;

const blkio = '/sys/fs/cgroup/blkio';
const limits = ['write', 'read'].map((way) => join(blkio, `blkio.throttle.${way}_bps_device`));

export function canThrottle(): boolean {
  return limits.every((file) => existsSync(file));
}

/** In memory if there is room for what will be written, else in `folder`. */
export function attachDrives(
  count: number,
  sizes: { driveBytes: number; usedBytes: number },
  folder: string,
) {
  const place = hasRoom('/dev/shm', 1.2 * count * sizes.usedBytes) ? '/dev/shm' : folder;
  const drives: LoopDrive[] = [];
  const detach = () => {
    for (const drive of drives.splice(0)) drive.detach();
  };
  try {
    for (let at = 0; at < count; at++) {
      const file = join(place, `kit-speed-${process.pid}-${at}`);
      drives.push(attachLoop(file, sizes.driveBytes));
    }
  } catch (error) {
    detach();
    throw error;
  }
  return { paths: drives.map(({ path }) => path), inMemory: place === '/dev/shm', detach };
}

function hasRoom(folder: string, neededBytes: number): boolean {
  if (!existsSync(folder)) return false;
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize > neededBytes;
}

/** Limits reads and writes of each of these block devices; undefined: no limit. */
export function throttle(paths: string[], bytesPerSecond: number | undefined): void {
  for (const path of paths) {
    const number = readFileSync(`/sys/block/${basename(path)}/dev`, 'utf8').trim();
    for (const file of limits) writeFileSync(file, `${number} ${bytesPerSecond ?? 0}`);
  }
}
