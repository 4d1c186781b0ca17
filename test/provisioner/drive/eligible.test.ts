import { readdirSync, readFileSync } from 'node:fs';

import test from 'ava';
import fc from 'fast-check';

import type { BlockDevice } from '../../../provisioner/drive/eligible.ts';
import { describeContents, judgeDrives } from '../../../provisioner/drive/eligible.ts';
import { parseLsblk, type Sysfs } from '../../../provisioner/drive/lsblk.ts';

interface Case {
  about: string;
  /** As `lsblk --json --bytes --tree` prints it. */
  lsblk: unknown;
  cards: Sysfs['cards'];
  backing?: Sysfs['backing'];
  /** Path to the codes of its refusals, in order; none: it may be erased. */
  verdicts: Record<string, string[]>;
  contents?: Record<string, string>;
}

const folder = new URL('cases/', import.meta.url);

for (const file of readdirSync(folder).sort()) {
  const { about, lsblk, cards, backing, verdicts, contents = {} }: Case = JSON.parse(
    readFileSync(new URL(file, folder), 'utf8'),
  );
  test(`${file}: ${about}`, (t) => {
    const judged = judgeDrives(parseLsblk(lsblk, { cards, backing }));
    const found = judged.map(({ device, refusals }) => [device.path, refusals.map((r) => r.code)]);
    t.deepEqual(Object.fromEntries(found), verdicts);
    for (const { refusals } of judged) for (const { reason } of refusals) t.truthy(reason);
    for (const [path, words] of Object.entries(contents)) {
      t.is(describeContents(judged.find(({ device }) => device.path === path)!.device), words);
    }
  });
}

// Whatever else lsblk may say, these must hold: they are what a volunteer relies on.
const leaf = (type: fc.Arbitrary<string>): fc.Arbitrary<BlockDevice> =>
  fc.record({
    name: fc.constantFrom('sda', 'sdb', 'mmcblk0', 'nvme0n1'),
    path: fc.constantFrom('/dev/a', '/dev/b'),
    majorMinor: fc.constant(''),
    diskSequence: fc.constant(''),
    type,
    sizeBytes: fc.constantFrom(0, 1e9),
    model: fc.constant(''),
    serial: fc.constant(''),
    transport: fc.constantFrom('', 'usb', 'sata', 'nvme'),
    cardType: fc.constantFrom('', 'SD', 'MMC'),
    removable: fc.boolean(),
    readOnly: fc.boolean(),
    mountpoints: fc.oneof(
      { weight: 9, arbitrary: fc.constant<string[]>([]) },
      fc.subarray(['/', '/mnt', '[SWAP]'], { maxLength: 2 }),
    ),
    fileSystem: fc.constantFrom('', 'ext4', 'btrfs', 'zfs_member'),
    label: fc.constant(''),
    uuid: fc.constantFrom('', 'u'),
    children: fc.constant([]),
  });
const device = fc
  .tuple(
    leaf(fc.constantFrom('disk', 'rom', 'loop')),
    fc.array(leaf(fc.constant('part')), { maxLength: 2 }),
  )
  .map(([disk, children]) => ({ ...disk, children }));

test('nothing mounted, built in, soldered, locked or partial is ever taken', (t) => {
  let taken = 0;
  fc.assert(
    fc.property(fc.array(device), (devices) => {
      for (const { device: disk, refusals } of judgeDrives(devices)) {
        if (refusals.length > 0) continue;
        taken++;
        t.is(disk.type, 'disk');
        t.true(disk.transport === 'usb' || disk.cardType === 'SD' || disk.removable);
        t.not(disk.cardType, 'MMC');
        t.false(disk.readOnly);
        t.true(disk.sizeBytes > 0);
        for (const part of [disk, ...disk.children]) t.deepEqual(part.mountpoints, []);
      }
    }),
    { numRuns: 500 },
  );
  t.true(taken > 0, 'some were');
});
