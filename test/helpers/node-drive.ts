// The drive of a node that is a container: ext4 in a file, shown as a block device that can be told
// to fail (nbdkit's error filter, nbdfuse, a loop device). What a node has in memory it still reads,
// as with a real drive that dies. Needs root. Errors make ext4 stop writing, as Debian's own
// default is: what a kit's image has (errors=panic) would be this machine's end.

import { closeSync, constants, existsSync, openSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { system } from './loop.ts';

export interface NodeDrive {
  /** From now on every write ends with an error, or none does any more. */
  failWrites(isFailing: boolean): void;
  /** As a boot does: checked, and mounted again. Nobody may have it open. @returns e2fsck's words */
  mend(): Promise<string>;
  detach(): Promise<void>;
}

/** Mounted at `at`, where `dir` keeps its file. */
export async function attachNodeDrive(
  dir: string,
  at: string,
  { sizeBytes, inodes }: { sizeBytes: number; inodes: number },
): Promise<NodeDrive> {
  const [memory, socket, serving, shown, failing] =
    ['memory', 'socket', 'serving', 'shown', 'failing'].map((end) => join(dir, `drive.${end}`));
  for (const made of [memory, shown]) writeFileSync(made, '');
  truncateSync(memory, sizeBytes);
  system('mkfs.ext4', ['-q', '-N', String(inodes), '-e', 'remount-ro', memory]);
  const injected = ['error-pwrite-rate=100%', `error-pwrite-file=${failing}`];
  const words = ['--foreground', '--exit-with-parent', '--unix', socket, '--pidfile', serving];
  const server = run('nbdkit', [...words, '--filter=error', 'file', memory, 'error=EIO', ...injected]);
  await started(server, () => existsSync(serving));
  const shower = run('nbdfuse', [shown, `nbd+unix:///?socket=${socket}`]);
  await started(shower, () => statSync(shown).size === sizeBytes);
  // Past the page cache of the shown file: what the kernel asks for, the drive is asked for.
  const loop = system('losetup', ['--find', '--show', '--direct-io=on', shown]).trim();
  const mount = (): void => void system('mount', ['-o', 'noatime', loop, at]);
  const failWrites = (isFailing: boolean): void =>
    (isFailing ? writeFileSync(failing, '') : rmSync(failing, { force: true }));
  mount();
  return {
    failWrites,
    async mend() {
      system('umount', [at]);
      await letGo(loop);
      // 1: errors were corrected.
      const said = system('sh', ['-c', `e2fsck -p ${loop} || [ $? = 1 ]`]);
      mount();
      return said;
    },
    async detach() {
      failWrites(false);
      system('umount', [at]);
      await letGo(loop);
      system('losetup', ['--detach', loop]);
      system('umount', ['--lazy', shown]);
      for (const child of [shower, server]) await ended(child);
    },
  };
}

function run(tool: string, args: string[]): ChildProcess {
  const child = spawn(tool, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  child.on('error', () => {}); // Met by what waits for it.
  return child;
}

const hasEnded = ({ pid, exitCode, signalCode }: ChildProcess): boolean =>
  pid === undefined || exitCode !== null || signalCode !== null;

async function started(child: ChildProcess, isReady: () => boolean): Promise<void> {
  while (!isReady()) {
    if (hasEnded(child)) throw new Error(`${child.spawnfile} ended: ${child.exitCode}`);
    await sleep(20);
  }
}

/** The kernel takes down what a killed machine had mounted after its last process is gone. */
async function letGo(device: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return closeSync(openSync(device, constants.O_RDONLY | constants.O_EXCL));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || tries === 600) throw error;
      await sleep(50);
    }
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}
