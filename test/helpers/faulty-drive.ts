// Drives with faults, for tests that run as root: an nbdkit server whose shell lines decide what
// happens to each read and write, nbdfuse to show it as a file, a loop device over that file, and a
// device node of our own, which goes when the drive is "pulled out", as udev's would. The kernel's
// block layer is real, so are its errors; the USB layer is not (test/usb/ has that).

import { spawn, type ChildProcess } from 'node:child_process';
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
  /** Every transfer fails from now on, and the node is gone. */
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
  /** Its pace, both ways. */
  bytesPerSecond?: number;
}

export const soundRead =
  'dd if="$memory" iflag=skip_bytes,count_bytes,fullblock skip=$4 count=$3 bs=1M status=none';
export const soundWrite =
  'dd of="$memory" iflag=fullblock oflag=seek_bytes seek=$4 conv=notrunc bs=1M status=none';

/** What nbdkit's eval plugin takes for a failed request: the errno's name on stderr, status 1. */
export const failWith = (errno: string) => `{ echo ${errno} faulty drive >&2; exit 1; }`;

let count = 0;

/** A drive that claims `sizeBytes`. */
export async function attachFaulty(folder: string, sizeBytes: number, fault: Fault = {}) {
  const name = `kit-faulty-${process.pid}-${count++}`;
  const ends = ['memory', 'socket', 'shown'];
  const [file, socket, shown] = ends.map((end) => join(folder, `${name}.${end}`));
  const path = `/dev/${name}`;
  for (const made of [file, shown]) writeFileSync(made, '');
  truncateSync(file, sizeBytes);
  const children: ChildProcess[] = [];
  let loop = '';
  const detach = async (): Promise<void> => {
    rmSync(path, { force: true });
    if (loop !== '') system('losetup', ['--detach', loop]);
    // nbdfuse lets go of the file when it is told to end; it cannot while the loop device holds it.
    for (const child of children.reverse()) await ended(child);
    // Of a server that was killed a dead mount stays behind.
    const isMounted = readFileSync('/proc/mounts', 'utf8').includes(` ${shown} `);
    if (isMounted) system('umount', ['--lazy', shown]);
    for (const made of [file, socket, shown]) rmSync(made, { force: true });
  };
  try {
    const options = ['--foreground', '--exit-with-parent', '--unix', socket];
    children.push(run('nbdkit', [...options, ...served(file, sizeBytes, fault)]));
    await until(() => existsSync(socket));
    children.push(run('nbdfuse', [shown, `nbd+unix:///?socket=${socket}`]));
    await until(() => statSync(shown).size === sizeBytes);
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
      children[0].kill('SIGKILL');
    },
  };
  return drive;
}

/** nbdkit's words. A shell for each request only where one is needed: it is slow. */
function served(file: string, sizeBytes: number, fault: Fault): string[] {
  const { read, write, bytesPerSecond } = fault;
  if (bytesPerSecond !== undefined) {
    return ['--filter=rate', 'file', file, `rate=${8 * bytesPerSecond}`];
  }
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

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await gone;
}

async function until(holds: () => boolean): Promise<void> {
  for (let waitedMs = 0; !holds(); waitedMs += 20) {
    if (waitedMs > 10_000) throw new Error('nbdkit or nbdfuse did not start');
    await sleep(20);
  }
}
