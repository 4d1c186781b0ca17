// What a node writes to its drive while nothing happens: counted by the kernel over some minutes,
// and who did it, by the inodes that were marked dirty. Extrapolated to a day, with what its timers
// write added.

import assert from 'node:assert/strict';

import { measureTimers, perDay, type TimerWrites } from './timers.ts';

export type Ask = (script: string) => Promise<string>;

export interface IdleWrites {
  minutes: number;
  writtenBytes: number;
  timers: TimerWrites[];
  bytesPerDay: number;
  /** Who dirtied what, and how often, the most frequent first. */
  writers: string[];
}

/** After a boot: timers of its first quarter of an hour, caches, a grown root's inode tables. */
const settleMinutes = 16;

export async function measureIdle(ask: Ask, minutes: number): Promise<IdleWrites> {
  await ask(startTrace);
  for (let waited = 0; waited < settleMinutes; waited += 2) await ask('sleep 120');
  await ask('sync; echo > /sys/kernel/tracing/trace');
  const written = async () => {
    const bytes = Number(await ask(`sync\n${writtenSectors}`)) * 512;
    assert.ok(Number.isSafeInteger(bytes));
    return bytes;
  };
  const before = await written();
  for (let waited = 0; waited < minutes; waited += 2) await ask('sleep 120');
  const writtenBytes = (await written()) - before;
  const writers = (await ask(readTrace)).split('\n').filter((line) => line !== '');
  await refuseBlind(ask);
  const timers = await measureTimers(ask, written);
  const quietPerDay = (writtenBytes / minutes) * 1440;
  const bytesPerDay = timers.reduce((sum, timer) => sum + perDay(timer), quietPerDay);
  return { minutes, writtenBytes, timers, bytesPerDay, writers };
}

/** A node that writes nothing and a count that sees nothing look alike: one known write tells. */
async function refuseBlind(ask: Ask): Promise<void> {
  const before = Number(await ask(writtenSectors));
  await ask('head -c 1048576 /dev/urandom > /var/lib/seen-writing && sync');
  const writtenBytes = (Number(await ask(writtenSectors)) - before) * 512;
  assert.ok(writtenBytes >= 1_048_576, `1 MiB was written, ${writtenBytes} bytes were counted`);
  assert.match(await ask(readTrace), /seen-writing/);
}

/** Documentation/admin-guide/iostats.rst: field 7 of a disk's stat, in sectors of 512 bytes. */
const writtenSectors = `disk=$(lsblk -no PKNAME "$(findmnt -no SOURCE /)" | head -n 1)
awk '{ print $7 }' "/sys/block/$disk/stat"`;

const startTrace = `mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing
echo 1 > /sys/kernel/tracing/events/ext4/ext4_mark_inode_dirty/enable`;

/** Lines such as `kworker/0:1-23 [000] … ext4_mark_inode_dirty: dev 254,3 ino 1234 caller …`. */
const readTrace = `sed -n 's/^ *\\([^ ].*\\)-[0-9]* *\\[.*ino \\([0-9]*\\) .*/\\1 \\2/p' \\
  /sys/kernel/tracing/trace | sort | uniq -c | sort -rn | head -n 12 |
while read -r count name inode; do
  echo "$count $name $(find / -xdev -inum "$inode" 2>/dev/null | head -n 1)"
done`;
