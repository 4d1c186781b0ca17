// The boards that QEMU stands in for: processor, chipset and firmware. A firmware that remembers
// (UEFI's variables) gets a copy of its own beside the machine, made anew each time it is chosen.

import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KitError } from '../errors.ts';

export interface Board {
  /** QEMU's program for it. */
  program: string;
  /** The processor where QEMU emulates it. */
  cpu: string;
  /** Whether this machine's own processor could run it. */
  kvm: boolean;
  /** Further words of QEMU's command line: chipset, firmware. */
  words: string[];
}

export const firmwares = ['bios', 'uefi', 'secure-boot'] as const;
export type Firmware = (typeof firmwares)[number];

/** A PC that starts by BIOS, as QEMU brings it. */
export const standardBoard: Board = {
  program: 'qemu-system-x86_64',
  cpu: 'max',
  kvm: process.arch === 'x64',
  // Without a screen, the BIOS talks on the serial line.
  words: ['-machine', 'q35,graphics=off'],
};

/** Debian's packages with the firmware, and where they put it: code, then variables. */
const flashes: Record<string, { packages: string; code: string; variables: string }> = {
  'amd64 uefi': {
    packages: 'ovmf',
    code: '/usr/share/OVMF/OVMF_CODE_4M.fd',
    variables: '/usr/share/OVMF/OVMF_VARS_4M.fd',
  },
  // Microsoft's keys are enrolled, and only what they vouch for is started.
  'amd64 secure-boot': {
    packages: 'ovmf',
    code: '/usr/share/OVMF/OVMF_CODE_4M.ms.fd',
    variables: '/usr/share/OVMF/OVMF_VARS_4M.ms.fd',
  },
  'arm64 uefi': {
    packages: 'qemu-system-arm qemu-efi-aarch64',
    code: '/usr/share/AAVMF/AAVMF_CODE.fd',
    variables: '/usr/share/AAVMF/AAVMF_VARS.fd',
  },
};

/**
 * @param dir where the firmware's variables are kept
 * @throws KitError `board-unknown`, `firmware-missing`
 */
export async function chooseBoard(
  arch: 'amd64' | 'arm64',
  firmware: Firmware,
  dir: string,
): Promise<Board> {
  if (arch === 'amd64' && firmware === 'bios') return standardBoard;
  const flash = flashes[`${arch} ${firmware}`];
  if (flash === undefined) throw boardUnknown(`${arch} with ${firmware}`);
  if (!existsSync(flash.code)) throw firmwareMissing(flash);
  const variables = join(dir, 'firmware-variables.fd');
  await copyFile(flash.variables, variables);
  const pflash = [
    ...['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${flash.code}`],
    ...['-drive', `if=pflash,unit=1,format=raw,file=${variables}`],
  ];
  if (arch === 'arm64') {
    // The Raspberry Pi 4's processor, on QEMU's own chipset.
    const words = ['-machine', 'virt', ...pflash];
    return { program: 'qemu-system-aarch64', cpu: 'cortex-a72', kvm: false, words };
  }
  if (firmware === 'uefi') return { ...standardBoard, words: ['-machine', 'q35', ...pflash] };
  // Variables that the system could write around its firmware would prove nothing.
  const guarded = ['-machine', 'q35,smm=on', '-global', 'cfi.pflash01.secure=on', ...pflash];
  return { ...standardBoard, words: guarded };
}

function boardUnknown(got: string): KitError {
  return new KitError({
    code: 'board-unknown',
    message: 'There is no such board here',
    expected: `amd64 with bios, or one of ${Object.keys(flashes).join(', ')}`,
    got,
    hint: 'Take one of these.',
    exitCode: 2,
  });
}

function firmwareMissing({ packages, code }: { packages: string; code: string }): KitError {
  return new KitError({
    code: 'firmware-missing',
    message: 'The firmware for this board is not installed',
    expected: code,
    got: 'no such file',
    hint: `Run: apt-get install ${packages}`,
    exitCode: 2,
  });
}
