// The boot loaders of each architecture: which packages bring them, and where their files go on the
// ESP. shim on the removable path starts Debian's signed GRUB beside it, under Secure Boot too. Pure.

import type { Arch } from './folder.ts';
import { grubFolder } from './grub.ts';

/** Packages that are unpacked, never installed: their files go to the ESP or before it. */
export const bootPackages: Record<Arch, readonly string[]> = {
  amd64: ['grub-efi-amd64-signed', 'grub-pc-bin', 'shim-helpers-amd64-signed', 'shim-signed'],
  arm64: ['grub-efi-arm64-signed', 'shim-helpers-arm64-signed', 'shim-signed'],
};

/** Whether machines of this kind may start by BIOS: then GRUB's core image has a partition. */
export const hasBios: Record<Arch, boolean> = { amd64: true, arm64: false };

/**
 * Path on the ESP to path in the packages. UEFI 2.10 § 3.5.1.1: the removable path's name tells the
 * machine; shim looks for GRUB and MokManager beside itself by theirs.
 */
export const efiFiles: Record<Arch, Readonly<Record<string, string>>> = {
  amd64: {
    'EFI/BOOT/BOOTX64.EFI': 'usr/lib/shim/shimx64.efi.signed',
    'EFI/BOOT/mmx64.efi': 'usr/lib/shim/mmx64.efi.signed',
    'EFI/BOOT/grubx64.efi': 'usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed',
  },
  arm64: {
    'EFI/BOOT/BOOTAA64.EFI': 'usr/lib/shim/shimaa64.efi.signed',
    'EFI/BOOT/mmaa64.efi': 'usr/lib/shim/mmaa64.efi.signed',
    'EFI/BOOT/grubaa64.efi': 'usr/lib/grub/arm64-efi-signed/grubaa64.efi.signed',
  },
};

/** Where the signed GRUB looks for its menu. */
export const menuPath = `${grubFolder.slice(1)}/grub.cfg`;
