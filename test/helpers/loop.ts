// Loop devices for tests that run as root: a file behind each, detached whatever happens.

import { execFileSync } from 'node:child_process';
import { rmSync, truncateSync, writeFileSync } from 'node:fs';

import type { BlockDevice } from '../../provisioner/drive/eligible.ts';
import { listBlockDevices } from '../../provisioner/drive/lsblk.ts';

export interface LoopDrive {
  path: string;
  /** The file behind it. */
  file: string;
  detach(): void;
}

export function attachLoop(file: string, sizeBytes: number): LoopDrive {
  writeFileSync(file, '');
  truncateSync(file, sizeBytes);
  const path = system('losetup', ['--find', '--show', '--partscan', file]).trim();
  return {
    path,
    file,
    detach() {
      system('losetup', ['--detach', path]);
      rmSync(file);
    },
  };
}

/** This machine's disks, with these loop devices dressed as USB sticks: all else is as it is. */
export async function listWithSticks(paths: string[]): Promise<BlockDevice[]> {
  return (await listBlockDevices()).map((device) => {
    if (!paths.includes(device.path)) return device;
    const serial = `LOOP-${device.name}`;
    return { ...device, type: 'disk', transport: 'usb', removable: true, model: 'Stick', serial };
  });
}

export function system(tool: string, args: string[]): string {
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
  return execFileSync(tool, args, { env, stdio: ['ignore', 'pipe', 'pipe'] }).toString();
}
