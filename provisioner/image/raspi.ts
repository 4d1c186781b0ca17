// What a Raspberry Pi 4 needs on the drive besides what UEFI machines do: one arm64 image serves
// both. The Pi's own firmware reads the boot partition (the ESP) for itself and starts Debian's
// kernel from there; raspi-firmware's hooks keep it current on the node, where it is mounted at
// /boot/firmware. This file owns which files those are and the texts among them. Pure.
//
//   /start4.elf /fixup4.dat           the Pi's firmware, from raspi-firmware
//   /bcm2711-*.dtb                    device trees, from the kernel's package
//   /vmlinuz-VERSION /initrd.img-…    as in /boot of the root file system
//   /config.txt /cmdline.txt          texts, below; the hook writes them anew at each upgrade
//   /overlays/                        made by the package's first upgrade; nothing here needs them

import type { Extent } from './layout.ts';
import { SECTOR } from './layout.ts';

/** Where raspi-firmware's hooks look for the boot partition. */
export const raspiMountPoint = '/boot/firmware';

/** What a Pi 4's boot needs of raspi-firmware: path on the ESP to path in the root file system. */
export const raspiFirmwareFiles: Readonly<Record<string, string>> = {
  'start4.elf': 'usr/lib/raspi-firmware/start4.elf',
  'fixup4.dat': 'usr/lib/raspi-firmware/fixup4.dat',
};

/** Path on the ESP to path in the root file system, for the kernel of that version. */
export function raspiKernelFiles(kernelVersion: string): Record<string, string> {
  const trees = ['bcm2711-rpi-4-b.dtb', 'bcm2711-rpi-400.dtb', 'bcm2711-rpi-cm4-io.dtb'];
  const folder = `usr/lib/linux-image-${kernelVersion}/broadcom`;
  const boot = [`vmlinuz-${kernelVersion}`, `initrd.img-${kernelVersion}`];
  return Object.fromEntries([
    ...trees.map((name) => [name, `${folder}/${name}`]),
    ...boot.map((name) => [name, `boot/${name}`]),
  ]);
}

/** https://www.raspberrypi.com/documentation/computers/config_txt.html, "Boot options". */
export function configTxt(kernelVersion: string): string {
  return [
    '# raspi-firmware writes this anew when it or the kernel is upgraded: what is to stay goes to',
    '# /etc/default/raspi-firmware-custom.',
    'arm_64bit=1',
    'enable_uart=1',
    'upstream_kernel=1',
    `kernel=vmlinuz-${kernelVersion}`,
    `initramfs initrd.img-${kernelVersion}`,
    '',
  ].join('\n');
}

/**
 * What the hook adds to its own command line, in /etc/default/raspi-extra-cmdline. It names the
 * root file system as the device that it runs from, which is another one once the drive moves from
 * the card slot to a USB port; the last `root=` counts.
 */
export function extraCommandLine(options: { rootFsUuid: string }): string {
  return `root=UUID=${options.rootFsUuid} panic=10\n`;
}

/**
 * What the hook would write on a Pi 4: the screen and the UART on pins 8 and 10, no `cma=` (with
 * it a Pi 4 does not start, says the hook), and the extra command line.
 */
export function cmdlineTxt(options: { rootFsUuid: string }): string {
  const own = 'console=tty0 console=ttyS1,115200 rw fsck.repair=yes net.ifnames=0 rootwait';
  return `${own} ${extraCommandLine(options)}`;
}

/**
 * The line that mounts the boot partition on the node: when it is looked at, for a minute, and
 * never before the first boot has wiped it, so that a power cut hardly ever finds a FAT open. The
 * hook refuses an upgrade of the kernel where nothing is mounted, on UEFI machines too.
 */
export function raspiFstabLine(options: { espVolume: string }): string {
  const uuid = options.espVolume.toUpperCase().replace(/^(.{4})(.{4})$/, '$1-$2');
  const mount = [
    ...['noatime', 'nofail', 'umask=0077', 'x-systemd.automount', 'x-systemd.idle-timeout=1min'],
    'x-systemd.after=commons-first-boot.service',
  ];
  return `UUID=${uuid} ${raspiMountPoint} vfat ${mount.join(',')} 0 2\n`;
}

// Partition types of an MBR: FAT32, addressed in sectors; and what stands for a GPT (UEFI 2.10,
// table 5.3 "Protective MBR").
const mbrFat32 = 0x0c;
const mbrProtective = 0xee;
const table = 0x1be;
const entrySize = 16;

/**
 * The drive's first sector, its protective MBR made a hybrid one: the ESP is its first partition
 * as well, the GPT's place-holder its fourth. Debian 13's start4.elf (of April 2024) does not find
 * the boot partition of a GPT when a boot EEPROM of February 2025 or later tells it the partition's
 * number (raspberrypi/rpi-eeprom issues 668 and 854), nor if the place-holder is the MBR's first
 * or second entry (debian-cloud, March 2026; raspberrypi/firmware issue 1465); the EEPROM wants the
 * first one to be there. UEFI, Linux and GRUB take the GPT wherever the place-holder stands, if it
 * begins in sector 1.
 *
 *   0x1be + 16 i:  status 1 | first CHS 3 | type 1 | last CHS 3 | first sector u32 | sectors u32
 *
 * @throws RangeError if the sector holds no protective MBR
 */
export function hybridMbr(sector: Uint8Array, esp: Extent): Buffer {
  const mbr = Buffer.from(sector);
  if (mbr.length !== SECTOR || mbr.readUInt16LE(510) !== 0xaa55) {
    throw new RangeError('not the first sector of a partitioned drive');
  }
  if (mbr[table + 4] !== mbrProtective) throw new RangeError('no protective MBR in this sector');
  const first = esp.offsetBytes / SECTOR;
  mbr.fill(0, table, table + 4 * entrySize);
  writeEntry(mbr, 0, { type: mbrFat32, first, sectors: esp.sizeBytes / SECTOR });
  writeEntry(mbr, 3, { type: mbrProtective, first: 1, sectors: first - 1 });
  return mbr;
}

function writeEntry(
  mbr: Buffer,
  index: number,
  { type, first, sectors }: { type: number; first: number; sectors: number },
): void {
  const at = table + index * entrySize;
  mbr[at + 4] = type;
  // Cylinders, heads and sectors ran out at 8 GB: the highest values say that these do not count.
  mbr.set([0xfe, 0xff, 0xff], at + 1);
  mbr.set([0xfe, 0xff, 0xff], at + 5);
  mbr.writeUInt32LE(first, at + 8);
  mbr.writeUInt32LE(sectors, at + 12);
}
