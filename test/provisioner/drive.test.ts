// Everything that must not be written, or not be written with, in one table: each is refused before
// anything is changed, with its own code or its own reason. How a thing is recognised is tested where
// that is done; here, that none slips through, and that no two are told in the same words.

import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import test from 'ava';

import { findKit } from '../../provisioner/campaign/campaign.ts';
import type { BlockDevice } from '../../provisioner/drive/eligible.ts';
import { flashKits } from '../../provisioner/drive/flash.ts';
import { parseLsblk } from '../../provisioner/drive/lsblk.ts';
import { findEligible } from '../../provisioner/drive/target.ts';
import { KitError } from '../../provisioner/errors.ts';
import { makeBench } from '../helpers/bench.ts';
import { makeTinyImage, sha256, type TinyImage } from '../helpers/tiny-image.ts';

const mib = 1 << 20;

/** Machines that are described in drive/cases/: the drive that somebody names, and why not. */
const wrongDrives: [about: string, machine: string, drive: string, code: string, reason: RegExp][] = [
  ['the running system', 'nvme-built-in', '/dev/nvme0n1', 'system-disk', /runs from it: \/boot\/efi/],
  ['the stick that this machine runs from', 'usb-live-system', '/dev/sda', 'system-disk', /it: \//],
  ['/usr on USB', 'usr-on-usb', '/dev/sdb', 'system-disk', /runs from it: \/usr/],
  ['/var on USB', 'var-on-usb', '/dev/sdb', 'system-disk', /runs from it: \/var\/lib\/docker/],
  ['/home under LVM and LUKS', 'lvm-mounted-at-home', '/dev/sdb', 'system-disk', /it: \/home/],
  ['swap on a stick', 'swap-on-stick', '/dev/sdb', 'system-disk', /\[SWAP\]/],
  ['root in LUKS on a loop device on a stick', 'loop-on-stick', '/dev/sdb', 'system-disk', /; .*sdb1 is open/],
  ['a stick under a loop device', 'loop-on-whole-stick', '/dev/sdb', 'in-use', /sdb is open/],
  ['a stick that the desktop has mounted', 'usb-stick-mounted', '/dev/sdb', 'mounted', /HOLIDAY/],
  ['a stick without partitions, mounted', 'whole-disk-mounted', '/dev/sdb', 'mounted', /\/mnt/],
  ['an open LUKS volume', 'luks-open', '/dev/sdb', 'in-use', /sdb1 is open/],
  ['a member of an array', 'raid-member', '/dev/sdb', 'system-disk', /linux_raid_member/],
  ['firmware RAID', 'firmware-raid', '/dev/sdb', 'in-use', /isw_raid_member/],
  ['a disk of a ZFS pool', 'zfs-member', '/dev/sdb', 'in-use', /zfs_member/],
  ['a cache of another disk', 'bcache', '/dev/sdb', 'in-use', /bcache/],
  ['an empty built-in disk', 'sata-empty', '/dev/sdd', 'not-removable', /built in .*sata/],
  ['soldered memory', 'emmc', '/dev/mmcblk0', 'emmc', /is soldered memory/],
  ['a boot area of soldered memory', 'emmc', '/dev/mmcblk0boot0', 'emmc', /boot area/],
  ['a card with its switch locked', 'write-protected', '/dev/mmcblk1', 'read-only', /write-protected/],
  ['a reader without a card', 'empty-reader', '/dev/sdb', 'no-medium', /no card/],
  ['a DVD', 'dvd-drive', '/dev/sr0', 'not-a-drive', /it is a rom/],
  ['compressed memory', 'zram-free', '/dev/zram1', 'not-a-drive', /zram/],
  ['a disk that comes over the network', 'nbd', '/dev/nbd0', 'not-a-drive', /network/],
  ['a floppy disk', 'floppy', '/dev/fd0', 'not-a-drive', /floppy/],
  ['a loop device', 'loop-on-file', '/dev/loop0', 'not-a-drive', /it is a loop/],
  ['a partition', 'usb-stick-used', '/dev/sdb1', 'not-whole', /sdb1/],
  ['a drive that is not there', 'usb-stick-used', '/dev/sdx', 'vanished', /nothing/],
];

function devicesOf(machine: string): BlockDevice[] {
  const file = new URL(`drive/cases/${machine}.json`, import.meta.url);
  const { lsblk, cards, backing } = JSON.parse(readFileSync(file, 'utf8'));
  return parseLsblk(lsblk, { cards, backing });
}

const words = new Map<string, string>();
for (const [about, machine, drive, code, reason] of wrongDrives) {
  test(`${about} is refused: drive-${code}`, (t) => {
    const error = t.throws(() => findEligible(drive, devicesOf(machine)), { instanceOf: KitError });
    t.is(error.code, `drive-${code}`);
    t.regex(error.got!, reason);
    const said = `${error.code}: ${error.got}`;
    t.is(words.get(said), undefined, 'said of another drive in the same words');
    words.set(said, about);
  });
}

/** Files and folders that somebody names as a drive. */
const wrongPaths: [about: string, code: string, make: (dir: string) => string][] = [
  ['a file that kit did not make', 'file-not-ours', (dir) => put(dir, 'thesis.pdf', 'years of work')],
  ['a link to such a file', 'file-not-ours', (dir) => {
    symlinkSync(put(dir, 'thesis.pdf', 'years of work'), join(dir, 'link'));
    return join(dir, 'link');
  }],
  ['a file with a second name', 'file-not-ours', (dir) => {
    linkSync(put(dir, 'one', ''), join(dir, 'two'));
    return join(dir, 'two');
  }],
  ['a folder', 'drive-not-a-drive', (dir) => dir],
  ['a file in no folder', 'drive-no-folder', (dir) => join(dir, 'no/such/file')],
  ['a character device', 'drive-not-a-drive', () => '/dev/full'],
  ["one of the kernel's own files", 'drive-not-a-drive', () => '/proc/self/comm'],
];

/** What may be wrong with an image; each change is made to a good one and its manifest. */
const wrongImages: [about: string, code: string, got: RegExp, change: (i: TinyImage) => string | void][] = [
  ['none', 'image-missing', /ENOENT/, (i) => rmSync(i.path)],
  ['a zip', 'image-unknown-kind', /504b0304/, (i) => writeFileSync(i.path, 'PK\x03\x04 a zip file')],
  ['empty', 'image-unknown-kind', /empty/, (i) => writeFileSync(i.path, '')],
  ['cut', 'image-truncated', /ends too early/, (i) => truncateSync(i.path, 1 << 20)],
  ['damaged', 'image-wrong-hash', /^[0-9a-f]{64}$/, (i) => spoil(i.path, 3_000_000)],
  ['another image', 'image-wrong-hash', /^[0-9a-f]{64}$/, (i) => {
    const [at, size] = i.manifest.ranges.at(-2)!;
    const other = Buffer.from(i.raw);
    other.fill(1, at, at + size);
    const gz = i.path.replace('.zst', '.gz');
    writeFileSync(gz, gzipSync(other, { level: 1 }));
    return gz;
  }],
  ['a bomb', 'image-oversize', /not unpacked any further/, (i) => {
    const gz = i.path.replace('.zst', '.gz');
    writeFileSync(gz, gzipSync(Buffer.concat([i.raw, Buffer.alloc(64 * mib)]), { level: 1 }));
    return gz;
  }],
  ['cut, and raw', 'image-truncated', /^8388608 bytes/, (i) => {
    const raw = i.path.replace('.zst', '');
    writeFileSync(raw, i.raw.subarray(0, 8 * mib));
    return raw;
  }],
  ['shorter than its manifest says', 'image-truncated', /^4194304 bytes/, (i) => {
    const gz = i.path.replace('.zst', '.gz');
    writeFileSync(gz, gzipSync(i.raw.subarray(0, 4 * mib)));
    return gz;
  }],
  ['without a manifest', 'manifest-missing', /ENOENT/, (i) => rmSync(manifestOf(i))],
  ['with a manifest that is no JSON', 'manifest-invalid', /JSON/, (i) => writeFileSync(manifestOf(i), '{')],
  ['with a manifest of another format', 'manifest-invalid', /format/, (i) => edit(i, { format: 2 })],
  ['with overlapping ranges', 'manifest-invalid', /out of order/, (i) => {
    edit(i, { ranges: [i.manifest.ranges[0], i.manifest.ranges[0]] });
  }],
  ['with a boot partition in the first MiB', 'manifest-invalid', /first MiB/, (i) => {
    edit(i, { esp: { offsetBytes: 4096, sizeBytes: mib } });
  }],
  ['with partitions that overlap', 'manifest-invalid', /overlap/, (i) => {
    edit(i, { root: { offsetBytes: 3 * mib, sizeBytes: mib } });
  }],
  ['for other machines', 'image-wrong-arch', /arm64/, (i) => edit(i, { arch: 'arm64' })],
  ['larger than the drive', 'image-too-big', /^20971520 bytes/, (i) => {
    const large = Buffer.concat([i.raw, Buffer.alloc(16 * mib)]);
    const zst = zstdCompressSync(large);
    writeFileSync(i.path, zst);
    edit(i, { sizeBytes: large.length, zstSha256: sha256(zst) });
  }],
];

test('no file that is not ours, no image that is not whole: nothing is made, nobody is asked', async (t) => {
  const bench = await makeBench();
  const folder = mkdtempSync(join(tmpdir(), 'kit-wrong-'));
  const asked: unknown[] = [];
  const flash = (image: string, drive: string) =>
    flashKits([{ kit: findKit(bench.campaign, 'alice'), drive }], {
      ...{ campaign: bench.campaign, secrets: bench.secrets, record: bench.record, image },
      ...{ fileSizeBytes: 20 * mib, spoolDir: folder, listBlockDevices: async () => [] },
      confirm: async (plans) => void asked.push(plans),
      onProgress: () => {},
    });
  const said = new Map<string, string>();
  const refused = async (about: string, code: string, flashing: Promise<unknown>) => {
    const error = await t.throwsAsync(flashing, { instanceOf: KitError }, about);
    t.is(error.code, code, about);
    return error;
  };
  for (const [number, [about, code, make]] of wrongPaths.entries()) {
    const dir = join(folder, `path${number}`);
    mkdirSync(dir);
    await refused(about, code, flash(makeTinyImage(join(dir, 'images')).path, make(dir)));
  }
  for (const [number, [about, code, got, change]] of wrongImages.entries()) {
    const image = makeTinyImage(join(folder, `image${number}`));
    const path = change(image) ?? image.path;
    const drive = join(folder, `drive${number}`);
    const error = await refused(about, code, flash(path, drive));
    t.regex(error.got!, got, about);
    t.throws(() => readFileSync(drive), { message: /ENOENT/ }, about);
    const key = `${error.code}: ${error.got} instead of ${error.expected}`;
    t.is(said.get(key), undefined, about);
    said.set(key, about);
  }
  t.deepEqual(asked, []);
  t.deepEqual(bench.record.history('alice'), []);
  rmSync(folder, { recursive: true });
  bench.remove();
});

test('there are more than twenty of each kind together', (t) => {
  t.true(wrongDrives.length + wrongPaths.length >= 20);
  t.true(wrongImages.length >= 15);
});

function put(dir: string, name: string, content: string): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

function manifestOf({ path }: TinyImage): string {
  return path.replace(/\.img\.zst$/, '.json');
}

function edit(image: TinyImage, change: object): void {
  writeFileSync(manifestOf(image), JSON.stringify({ ...image.manifest, ...change }));
}

function spoil(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] ^= 1;
  writeFileSync(path, bytes);
}
