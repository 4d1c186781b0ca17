// Drives with faults, for tests that run as root: an nbdkit server whose shell lines decide what
// happens to each read and write, nbdfuse to show it as a file, a loop device over that file, and a
// device node of our own, which goes when the drive is "pulled out", as udev's would. The kernel's
// block layer is real, so are its errors; the USB layer is not (test/usb/ has that).

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { BlockDevice } from '../../provisioner/drive/eligible.ts';
import { listBlockDevices } from '../../provisioner/drive/lsblk.ts';
import { system } from './loop.ts';

export interface FaultyDrive {
  /** The device node to flash. */
  path: string;
  /** What the drive really holds: where its memory is. */
  file: string;
  /** What is under way fails, and every transfer from now on; the node is gone. */
  pullOut(): void;
  detach(): Promise<void>;
}

/**
 * Shell lines of nbdkit's eval plugin (nbdkit-eval-plugin(1)): `$3` bytes at offset `$4`, data on
 * stdin or stdout. `$memory` is the file that stands for its flash. By default a sound drive.
 */
export interface Fault {
  read?: string;
  write?: string;
}

export const soundRead =
  'dd if="$memory" iflag=skip_bytes,count_bytes,fullblock skip=$4 count=$3 bs=1M status=none';
export const soundWrite =
  'dd of="$memory" iflag=fullblock oflag=seek_bytes seek=$4 conv=notrunc bs=1M status=none';

/** Takes what a write brings, and forgets it. */
export const dropWrite = 'cat >/dev/null';

/**
 * What nbdkit's eval plugin takes for a failed request: the errno's name on stderr, status 1. A write
 * is to be dropped first: of lines that end before they have read it all, nbdkit says EIO instead.
 */
export const failWith = (errno: string) => `{ echo ${errno} faulty drive >&2; exit 1; }`;

let count = 0;

/** A drive that claims `sizeBytes`. */
export async function attachFaulty(folder: string, sizeBytes: number, fault: Fault = {}) {
  const name = `kit-faulty-${process.pid}-${count++}`;
  const ends = ['memory', 'socket', 'serving', 'shown'];
  const [file, socket, serving, shown] = ends.map((end) => join(folder, `${name}.${end}`));
  const path = `/dev/${name}`;
  for (const made of [file, shown]) writeFileSync(made, '');
  truncateSync(file, sizeBytes);
  let [server, shower]: (ChildProcess | undefined)[] = [];
  let loop = '';
  const detach = async (): Promise<void> => {
    rmSync(path, { force: true });
    if (loop !== '') system('losetup', ['--detach', loop]);
    // Whoever looks at the machine's disks just now holds the loop device, and it the file: nothing
    // here waits for them.
    const isMounted = readFileSync('/proc/mounts', 'utf8').includes(` ${shown} `);
    if (isMounted) system('umount', ['--lazy', shown]);
    await ended(shower, 'SIGKILL');
    // With its one client gone it ends, and takes its shell lines along.
    await ended(server, 'SIGTERM');
    for (const made of [file, socket, serving, shown]) rmSync(made, { force: true });
  };
  try {
    const options = ['--foreground', '--exit-with-parent', '--unix', socket, '--pidfile', serving];
    server = run('nbdkit', [...options, ...served(file, sizeBytes, fault)]);
    // The socket is there before anybody listens; this file, not before.
    await started(server, () => existsSync(serving));
    shower = run('nbdfuse', [shown, `nbd+unix:///?socket=${socket}`]);
    await started(shower, () => statSync(shown).size === sizeBytes);
    // Past the page cache of the shown file: what is read back must come from the faulty memory.
    loop = system('losetup', ['--find', '--show', '--direct-io=on', shown]).trim();
    const numbers = ['--nodeps', '--noheadings', '--output', 'MAJ:MIN', loop];
    const [major, minor] = system('lsblk', numbers).trim().split(':');
    system('mknod', [path, 'b', major, minor]);
  } catch (error) {
    await detach();
    throw error;
  }
  const drive: FaultyDrive & { loop: string } = {
    ...{ path, file, loop, detach },
    pullOut() {
      rmSync(path);
      // With the process that shows the file, the kernel ends each of its transfers; of a server
      // that went away nbdfuse may make anything, an abort included.
      shower.kill('SIGKILL');
    },
  };
  return drive;
}

/** nbdkit's words. A shell for each request only where one is needed: it is slow. */
function served(file: string, sizeBytes: number, { read, write }: Fault): string[] {
  if (read === undefined && write === undefined) return ['file', file];
  return [
    'eval',
    ...[`get_size=echo ${sizeBytes}`, 'thread_model=echo parallel', 'flush=true'],
    `pread=memory=${file}; ${read ?? soundRead}`,
    `pwrite=memory=${file}; ${write ?? soundWrite}`,
  ];
}

/** This machine's disks, with these drives under their own nodes, dressed as USB sticks. */
export async function listWithFaulty(
  drives: { path: string; loop: string }[],
): Promise<BlockDevice[]> {
  return (await listBlockDevices()).map((device) => {
    const drive = drives.find(({ loop }) => loop === device.path);
    if (drive === undefined) return device;
    const { path } = drive;
    const serial = `FAULTY-${device.name}`;
    const dress = { type: 'disk', transport: 'usb', removable: true, model: 'Faulty stick' };
    return { ...device, path, serial, ...dress };
  });
}

function run(tool: string, args: string[]): ChildProcess {
  const child = spawn(tool, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  child.on('error', () => {}); // Met by what waits for it.
  return child;
}

function hasEnded({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid === undefined || exitCode !== null || signalCode !== null;
}

async function ended(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || hasEnded(child)) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

/** However long that takes on a busy machine, as long as it is at it. */
async function started(child: ChildProcess, isReady: () => boolean): Promise<void> {
  while (!isReady()) {
    if (hasEnded(child)) throw new Error(`${child.spawnfile} ended: ${child.exitCode}`);
    await sleep(20);
  }
}
