// What a node stands on: its clock, and file systems that can be written and have room. Asked with
// all other facts, whatever the kind of node, and judged before anything is done to it: what would
// fail half way is refused whole. Pure.

import { KitError } from '../errors.ts';
import { FactError, type Fact } from './fact.ts';

export interface Ground {
  /** The node's clock, Unix seconds. */
  clockS: number;
  /** Those of {@link places} whose file system takes no writes. */
  readOnly: string[];
  rooms: Room[];
}

export interface Room {
  path: string;
  freeBytes: number;
  /** Undefined where the file system makes inodes as it needs them. */
  freeInodes?: number;
}

/** Where every kind of node is written to. */
const places = ['/etc', '/usr/local', '/var/lib', '/var/backups'];

/**
 * TLS and apt turn away what is dated outside their time: certificates are dated back by a day
 * (campaign/ca.ts), Debian's lists by nothing. A busy, emulated node answers within seconds.
 */
const maxClockErrorMs = 10 * 60_000;
/** A configuration writes some megabytes, and journals and logs write beside it. */
const leastFreeBytes = 64 * 1024 * 1024;
const leastFreeInodes = 500;

export const ground: Fact<Ground> = {
  script: `date +%s
for path in ${places.join(' ')}; do
  [ -e $path ] && stat -f -c "room $path %a %S %d %c" $path
done
cat /proc/self/mounts`,
  parse(text) {
    const [clock, ...lines] = text.split('\n');
    if (!/^\d{1,12}$/.test(clock)) throw new FactError('the time in seconds', clock);
    const rooms = lines.flatMap((line) => roomOf(line) ?? []);
    if (rooms.length === 0) throw new FactError('the room on its file systems', text);
    const mounts = lines.filter((line) => !line.startsWith('room ')).map((line) => line.split(' '));
    const readOnly = places.filter((path) => isReadOnly(path, mounts));
    return { clockS: Number(clock), readOnly, rooms };
  },
};

/** proc_pid_mounts(5): what is mounted last over the longest part of the path is what counts. */
function isReadOnly(path: string, mounts: string[][]): boolean {
  let [point, options] = ['', ''];
  for (const [, at = '', , how = ''] of mounts) {
    const above = at === '/' || path === at || path.startsWith(`${at}/`);
    if (above && at.length >= point.length) [point, options] = [at, how];
  }
  return point !== '' && !takesWrites(options);
}

/** @param options as proc_pid_mounts(5) and findmnt tell them */
export function takesWrites(options: string): boolean {
  const said = options.split(',');
  return said.includes('rw') && !said.some((option) => stopped.has(option));
}

/**
 * ext4 that met an error is `rw` all the same since Linux 6.12, and says so since 6.15
 * (ext4_handle_error, _ext4_show_options): a file system that was told to stop is not read-only.
 */
const stopped = new Set(['emergency_ro', 'shutdown']);

/** statfs(2): blocks free to others than root, and their size; inodes free, and all of them. */
function roomOf(line: string): Room | undefined {
  const found = /^room (\S+) (\d+) (\d+) (\d+) (\d+)$/.exec(line);
  if (found === null) return undefined;
  const [blocks, blockBytes, inodes, all] = found.slice(2).map(Number);
  const room = { path: found[1], freeBytes: blocks * blockBytes };
  return all === 0 ? room : { ...room, freeInodes: inodes };
}

/**
 * @param asked when the facts were asked for and had come, by the bench's clock
 * @throws KitError `clock-wrong`, `root-read-only`, `disk-full`
 */
export function refuseGround(
  kit: string,
  { clockS, readOnly, rooms }: Ground,
  asked: { fromMs: number; untilMs: number },
): void {
  if (readOnly.length > 0) throw readOnlyRoot(kit, readOnly);
  const full = rooms.find(isFull);
  if (full !== undefined) throw diskFull(kit, full);
  const behindMs = asked.fromMs - (clockS + 1) * 1000;
  const aheadMs = clockS * 1000 - asked.untilMs;
  if (Math.max(behindMs, aheadMs) > maxClockErrorMs) throw clockWrong(kit, clockS, asked.untilMs);
}

function isFull({ freeBytes, freeInodes = leastFreeInodes }: Room): boolean {
  return freeBytes < leastFreeBytes || freeInodes < leastFreeInodes;
}

function clockWrong(kit: string, clockS: number, benchMs: number): KitError {
  return new KitError({
    ...{ code: 'clock-wrong', message: `${kit}’s clock is wrong` },
    expected: `at most ten minutes from the bench’s ${new Date(benchMs).toISOString().slice(0, 16)}Z`,
    got: `${new Date(clockS * 1000).toISOString().slice(0, 16)}Z`,
    hint: 'Let the node reach a time server, or set its clock (`date -s`). Is the bench’s own right?',
  });
}

function readOnlyRoot(kit: string, readOnly: string[]): KitError {
  return new KitError({
    ...{ code: 'root-read-only', message: `${kit}’s file system takes no writes` },
    expected: `${places.join(', ')} to be writable`,
    got: `read-only: ${readOnly.join(', ')}`,
    hint: 'Start it again: a fault is mended at boot. If it stays, flash the kit to another drive.',
  });
}

function diskFull(kit: string, { path, freeBytes, freeInodes }: Room): KitError {
  const inodes = freeInodes === undefined ? '' : `, ${freeInodes} inodes`;
  return new KitError({
    ...{ code: 'disk-full', message: `${kit} has no room` },
    expected: `${leastFreeBytes / 1024 / 1024} MiB and ${leastFreeInodes} inodes free`,
    got: `${(freeBytes / 1024 / 1024).toFixed(0)} MiB${inodes} free in ${path}`,
    hint: 'Make room on the node, or flash the kit to a larger drive.',
  });
}
