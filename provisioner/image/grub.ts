// The boot loader: one grub.cfg for BIOS and UEFI, and the two places where GRUB's BIOS images
// must be told where they lie (what grub-bios-setup would write). Pure.

import { SECTOR } from './layout.ts';

/** Debian's signed GRUB looks here on the ESP; the BIOS core image is told to do the same. */
export const grubFolder = '/EFI/debian';

/** What the BIOS core image must hold to find and read `grubFolder` and the root file system. */
export const biosModules = [
  'biosdisk', 'part_gpt', 'fat', 'ext2', 'search', 'search_fs_uuid', 'normal', 'configfile',
  'linux', 'echo', 'test', 'serial', 'terminal', 'reboot', 'all_video', 'sleep',
] as const;

/**
 * The menu. Kernel and initramfs are reached by the links in / that Debian's kernel packages keep,
 * so that an upgrade needs no new grub.cfg; the second entry is the kernel before the upgrade.
 */
export function grubCfg(options: { rootFsUuid: string; consoles: readonly string[] }): string {
  const consoles = options.consoles.map((console) => `console=${console}`).join(' ');
  const commandLine = `root=UUID=${options.rootFsUuid} rw panic=10 fsck.repair=yes ${consoles}`;
  const entry = (title: string, suffix: string) => [
    `menuentry '${title}' {`,
    `  linux /vmlinuz${suffix} ${commandLine}`,
    `  initrd /initrd.img${suffix}`,
    '}',
  ];
  return [
    'set timeout=1',
    'set default=0',
    'set fallback=1',
    `search --no-floppy --fs-uuid --set=root ${options.rootFsUuid}`,
    ...entry('commons-kit', ''),
    ...entry('commons-kit, previous kernel', '.old'),
    '',
  ].join('\n');
}

/**
 * boot.img, patched to load the core image from `coreSector`. Offsets from GRUB's
 * include/grub/i386/pc/boot.h: kernel_sector u64 at 0x5c; boot_drive_check at 0x66, whose jump
 * is made two NOPs for BIOSes that pass a wrong drive number. Only the first 440 bytes are code
 * (the rest is the protective MBR's).
 */
export function bootSector(bootImg: Uint8Array, coreSector: number): Uint8Array {
  const code = Buffer.from(bootImg.subarray(0, 440));
  code.writeBigUInt64LE(BigInt(coreSector), 0x5c);
  code.set([0x90, 0x90], 0x66);
  return code;
}

/**
 * The core image, patched to find its own second sector. Its first sector (diskboot.img) ends in
 * a block list of one: start u64 at 0x1f4, length u16, segment u16; the latter two are filled in
 * by grub-mkimage.
 */
export function coreImage(core: Uint8Array, coreSector: number): Uint8Array {
  const image = Buffer.from(core);
  image.writeBigUInt64LE(BigInt(coreSector + 1), SECTOR - 12);
  return image;
}
