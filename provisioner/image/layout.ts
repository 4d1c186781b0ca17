// Where everything lies on the drive. Pure: sizes in, numbers and texts out.
//
//   0        GRUB's first sector, then the GPT        (BIOS starts here)
//   1 MiB    BIOS boot partition: GRUB's core image   1 MiB, left free on arm64
//   2 MiB    ESP: shim, GRUB, grub.cfg, later /kit/   FAT32
//   …        root: ext4, label kit-root               grown at the first boot
//   last MiB the GPT's copy
//
// All borders are multiples of 1 MiB, so of any flash page and of the block map's 4 KiB.

import { createHash } from 'node:crypto';
import type { Arch } from './folder.ts';

export const MIB = 1024 * 1024;
export const SECTOR = 512;
/** The file system's block, and the grain of the block map. */
export const BLOCK = 4096;

export interface Extent {
  offsetBytes: number;
  sizeBytes: number;
}

export interface Layout {
  sizeBytes: number;
  /** Where machines may start by BIOS. */
  biosBoot?: Extent;
  esp: Extent;
  root: Extent;
}

export interface Identifiers {
  disk: string;
  biosBoot: string;
  esp: string;
  root: string;
  /** The file system's own, which the boot loader and fstab look for. */
  rootFs: string;
  /** FAT volume id, 8 hex digits. */
  espVolume: string;
}

/** Lays the partitions out for a root file system of `rootSizeBytes`. */
export function planLayout(plan: {
  espSizeBytes: number;
  rootSizeBytes: number;
  bios: boolean;
}): Layout {
  const biosBoot = plan.bios ? { offsetBytes: MIB, sizeBytes: MIB } : undefined;
  const esp = { offsetBytes: 2 * MIB, sizeBytes: alignUp(plan.espSizeBytes, MIB) };
  const rootOffset = esp.offsetBytes + esp.sizeBytes;
  const root = { offsetBytes: rootOffset, sizeBytes: alignUp(plan.rootSizeBytes, MIB) };
  return { sizeBytes: rootOffset + root.sizeBytes + MIB, biosBoot, esp, root };
}

/**
 * Room for the files of a tar of `tarBytes`: an eighth more for what ext4 adds (rounding to
 * blocks, inode tables of 1/64, the journal), `spareBytes` to work in until the first boot.
 */
export function rootSizeFor(tarBytes: number, spareBytes: number): number {
  return alignUp(Math.ceil(tarBytes * 1.125) + spareBytes, 16 * MIB);
}

export function alignUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

/** The same identifiers for the same image, whenever and wherever it is built. */
export function identifiersOf(image: { name: string; arch: string; release: string }): Identifiers {
  const id = (part: string) =>
    derivedUuid(`commons-kit/${image.name}/${image.arch}/${image.release}/${part}`);
  return {
    disk: id('disk'),
    biosBoot: id('bios-boot'),
    esp: id('esp'),
    root: id('root'),
    rootFs: id('root-fs'),
    espVolume: id('esp-volume').slice(0, 8),
  };
}

/** A UUID of version 8 (RFC 9562 § 5.8) from the SHA-256 of a text. */
export function derivedUuid(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16);
  bytes[6] = (bytes[6] & 0x0f) | 0x80;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

// Partition types: UEFI 2.10 § 5.3.3, GRUB's manual "BIOS installation", and the Discoverable
// Partitions Specification for a root that systemd-repart recognises.
const partitionType = {
  biosBoot: '21686148-6449-6E6F-744E-656564454649',
  esp: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
  root: {
    amd64: '4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709',
    arm64: 'B921B045-1DF0-41C3-AF44-4C6F280D3FAE',
  },
} as const;

/** The script that sfdisk reads. */
export function sfdiskScript(layout: Layout, ids: Identifiers, arch: Arch): string {
  const line = (extent: Extent, type: string, uuid: string, name: string) =>
    `start=${extent.offsetBytes / SECTOR}, size=${extent.sizeBytes / SECTOR}, ` +
    `type=${type}, uuid=${uuid}, name="${name}"`;
  return [
    'label: gpt',
    `label-id: ${ids.disk}`,
    'unit: sectors',
    // Room for the usual 128 entries before, and for their copy after, the partitions.
    'first-lba: 34',
    '',
    ...(layout.biosBoot
      ? [line(layout.biosBoot, partitionType.biosBoot, ids.biosBoot, 'bios-boot')]
      : []),
    line(layout.esp, partitionType.esp, ids.esp, 'esp'),
    line(layout.root, partitionType.root[arch], ids.root, 'root'),
    '',
  ].join('\n');
}

/**
 * What mounts the root, by the file system's own id. Since Linux 6.12 an error that remounts it
 * read-only makes every file unreadable as well: a reboot, with e2fsck before it, is all that helps.
 */
export function fstab(ids: Identifiers): string {
  return `UUID=${ids.rootFs} / ext4 noatime,commit=30,errors=panic 0 1\n`;
}
