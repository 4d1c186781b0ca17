// Which drives may be erased. The one rule, pure: what lsblk and sysfs say goes in, a verdict for
// every disk comes out, with the reason for each refusal. Safety hangs on this file: it starts from
// "refused", and a disk must be removable, whole, and touched by nothing to be taken.

/** A block device and what lies on it, as lsblk's tree shows it. */
export interface BlockDevice {
  /** Kernel name, such as `sdb1`. */
  name: string;
  path: string;
  /** `disk`, `part`, `crypt`, `lvm`, `raid1`, `rom`, `loop` … */
  type: string;
  /** The kernel's number of its node, `8:16`; empty when unknown. */
  majorMinor: string;
  /**
   * The kernel's count of disks and media that it has seen (sysfs `diskseq`, since Linux 5.15): two
   * drives never share it, nor two cards in one reader; empty when unknown.
   */
  diskSequence: string;
  sizeBytes: number;
  model: string;
  serial: string;
  /** How it is attached: `usb`, `sata`, `nvme`, `mmc` …; empty when unknown. */
  transport: string;
  /** `SD` or `MMC` (soldered: eMMC), from sysfs; empty for whatever is no memory card. */
  cardType: string;
  removable: boolean;
  readOnly: boolean;
  /** Swap shows as `[SWAP]`. */
  mountpoints: string[];
  fileSystem: string;
  label: string;
  uuid: string;
  children: BlockDevice[];
}

export type RefusalCode =
  | 'not-a-drive'
  | 'not-removable'
  | 'emmc'
  | 'read-only'
  | 'no-medium'
  | 'system-disk'
  | 'mounted'
  | 'in-use';

export interface Refusal {
  code: RefusalCode;
  /** For a person: why. */
  reason: string;
}

export interface Verdict {
  device: BlockDevice;
  /** Empty: this drive may be erased. */
  refusals: Refusal[];
}

/** A verdict on every top-level device, in lsblk's order. */
export function judgeDrives(devices: BlockDevice[]): Verdict[] {
  const mounted = mountedVolumes(devices);
  return devices.map((device) => ({ device, refusals: judge(device, mounted) }));
}

/** In the order in which a person wants to hear them: the gravest first. */
function judge(device: BlockDevice, mounted: Set<string>): Refusal[] {
  return [...usesOf(device, mounted), ...natureOf(device)];
}

function usesOf(device: BlockDevice, mounted: Set<string>): Refusal[] {
  const parts = [device, ...descendants(device)];
  const points = parts.flatMap((part) => part.mountpoints);
  const system = points.filter(isSystem);
  const other = points.filter((point) => !isSystem(point));
  const members = parts.filter((part) => part.mountpoints.length === 0 && isMember(part, mounted));
  return [
    ...system.map((point) => refuse('system-disk', `this machine runs from it: ${point}`)),
    ...other.map((point) => refuse('mounted', `it is mounted at ${point}`)),
    ...members.map((part) => refuse('in-use', `${part.path} belongs to ${volumeOf(part)}`)),
    ...parts.filter(isMapped).map((part) => refuse('in-use', `${part.path} is open`)),
  ];
}

/** What lsblk calls a disk, and may call removable, though nobody can pull it out or boot from it. */
const virtualKinds: [name: RegExp, reason: string][] = [
  [/^zram\d+$/, 'it is compressed memory (zram)'],
  [/^ram\d+$/, 'it is memory (a RAM disk)'],
  [/^(nbd|rbd|drbd|ublkb)\d+$/, 'it is a disk that comes over the network or from a program'],
  [/^(pmem|mtdblock)\d+$/, 'it is memory of this machine'],
  [/^fd\d+$/, 'it is a floppy disk'],
];

function natureOf(device: BlockDevice): Refusal[] {
  const refusals: Refusal[] = [];
  const kind = virtualKinds.find(([name]) => name.test(device.name));
  if (kind !== undefined && device.type === 'disk') refusals.push(refuse('not-a-drive', kind[1]));
  if (device.type !== 'disk') {
    refusals.push(refuse('not-a-drive', `it is a ${device.type || 'thing of unknown kind'}`));
  }
  if (/^mmcblk\d+(boot\d+|rpmb|gp\d+)$/.test(device.name)) {
    refusals.push(refuse('emmc', 'it is a boot area of soldered memory (eMMC)'));
  } else if (device.cardType === 'MMC') {
    refusals.push(refuse('emmc', 'it is soldered memory (eMMC)'));
  } else if (!isRemovable(device)) {
    const attached = device.transport === '' ? '' : ` (attached by ${device.transport})`;
    refusals.push(refuse('not-removable', `it is built in${attached}: not USB, not an SD card`));
  }
  if (device.readOnly) refusals.push(refuse('read-only', 'it is write-protected'));
  if (device.sizeBytes === 0) refusals.push(refuse('no-medium', 'no card or disk is in it'));
  return refusals;
}

function isRemovable(device: BlockDevice): boolean {
  return device.transport === 'usb' || device.cardType === 'SD' || device.removable;
}

/** Losing one of these stops the machine or loses the volunteer's own files. */
function isSystem(point: string): boolean {
  if (point === '/' || point === '[SWAP]') return true;
  const roots = ['/boot', '/efi', '/home', '/usr', '/var', '/opt', '/srv', '/root', '/etc'];
  return roots.some((root) => point === root || point.startsWith(`${root}/`));
}

/**
 * Volumes that span disks show their mount point on one member only (Btrfs), or on none (ZFS); an
 * inactive member of an array is part of something even while nothing is mounted.
 */
function isMember(part: BlockDevice, mounted: Set<string>): boolean {
  return isPartOfMore(part) || (part.uuid !== '' && mounted.has(volumeKey(part)));
}

function isPartOfMore(part: BlockDevice): boolean {
  return /_member$|^(drbd|bcache|ceph_bluestore|jbd)$/.test(part.fileSystem);
}

function volumeOf(part: BlockDevice): string {
  return isPartOfMore(part)
    ? `an array or volume group (${part.fileSystem})`
    : `a ${part.fileSystem} volume that is mounted`;
}

/** Something holds it: an unlocked LUKS volume, an active array, a logical volume. */
function isMapped(part: BlockDevice): boolean {
  return part.children.some((child) => child.type !== 'part');
}

function mountedVolumes(devices: BlockDevice[]): Set<string> {
  const all = devices.flatMap((device) => [device, ...descendants(device)]);
  const mounted = all.filter((part) => part.mountpoints.length > 0 && part.uuid !== '');
  return new Set(mounted.map(volumeKey));
}

function volumeKey(part: BlockDevice): string {
  return `${part.fileSystem} ${part.uuid}`;
}

export function descendants(device: BlockDevice): BlockDevice[] {
  return device.children.flatMap((child) => [child, ...descendants(child)]);
}

function refuse(code: RefusalCode, reason: string): Refusal {
  return { code, reason };
}

/** What would be lost, in a line: "2 partitions: vfat EFI, ext4 root". Empty: nothing seen. */
export function describeContents(device: BlockDevice): string {
  const partitions = device.children.filter((child) => child.type === 'part');
  const name = (part: BlockDevice) =>
    [part.fileSystem || 'unknown', part.label && JSON.stringify(part.label)].filter(Boolean);
  if (partitions.length === 0) return device.fileSystem === '' ? '' : name(device).join(' ');
  const count = partitions.length === 1 ? '1 partition' : `${partitions.length} partitions`;
  return `${count}: ${partitions.map((part) => name(part).join(' ')).join(', ')}`;
}
