// Wiping real block devices: loop devices dressed as USB sticks. What stood there is gone, also
// from the end that no image reaches; the wrong one is never touched; a drive that fails is told.

import { mkdirSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import type { Kit } from '../../../provisioner/campaign/campaign.ts';
import type { BlockDevice } from '../../../provisioner/drive/eligible.ts';
import { flashKits } from '../../../provisioner/drive/flash.ts';
import { prepareWipe } from '../../../provisioner/drive/wipe.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { makeBench, type TestBench } from '../../helpers/bench.ts';
import { attachFaulty, failWith, listWithFaulty } from '../../helpers/faulty-drive.ts';
import { dropWrite, soundRead, soundWrite } from '../../helpers/faulty-drive.ts';
import { attachLoop, listWithSticks, system, type LoopDrive } from '../../helpers/loop.ts';
import { fillSeeded, makeTinyImage } from '../../helpers/tiny-image.ts';

const mib = 1 << 20;

type List = () => Promise<BlockDevice[]>;

/** Writes one kit to one drive. */
async function flash(
  bench: TestBench, kit: Kit, drive: string, listBlockDevices: List,
): Promise<void> {
  const { campaign, secrets, record } = bench;
  const image = makeTinyImage(join(bench.dir, 'images')).path;
  await flashKits([{ kit, drive }], {
    ...{ campaign, secrets, record, image, fileSizeBytes: 0, listBlockDevices },
    ...{ confirm: async () => {}, onProgress: () => {} },
  });
}

function wipe({ record }: TestBench, kit: Kit, drive: string, listBlockDevices: List) {
  return prepareWipe(kit, drive, { record, listBlockDevices, onProgress: () => {} });
}

interface Scene {
  bench: TestBench;
  sticks: LoopDrive[];
  list: List;
}

const withSticks = test.macro(
  async (t, body: (t: ExecutionContext, scene: Scene) => Promise<void>) => {
    const bench = await makeBench();
    const sticks: LoopDrive[] = [];
    try {
      for (const [at, size] of [20 * mib, 24 * mib + 3 * 512].entries()) {
        const stick = attachLoop(join(bench.dir, `stick${at}`), size);
        sticks.push(stick);
        const old = Buffer.alloc(size);
        fillSeeded(old, at + 50);
        const device = await open(stick.path, 'r+');
        await device.write(old);
        await device.datasync();
        await device.close();
      }
      const list: List = () => listWithSticks(sticks.map(({ path }) => path));
      await body(t, { bench, sticks, list });
    } finally {
      for (const stick of sticks) stick.detach();
      bench.remove();
    }
  },
);

test.serial('nothing of a kit is left; the stick beside it is as it was', withSticks, async (t, s) => {
  const { bench, sticks, list } = s;
  const [alice, bob] = bench.campaign.kits;
  await flash(bench, alice, sticks[1].path, list);
  await flash(bench, bob, sticks[0].path, list);
  const { sshHostKey } = await bench.secrets.kit(alice);
  const secret = sshHostKey.privatePem.split('\n')[3];
  t.true(readFileSync(sticks[1].file).includes(secret), 'it stood there');
  const others = readFileSync(sticks[0].file);
  const { plan, known, run } = await wipe(bench, alice, sticks[1].path, list);
  t.true(known, 'by its serial number');
  t.like(plan, { kind: 'block', model: 'Stick', sizeBytes: 24 * mib + 3 * 512 });
  const wiped = await run();
  t.is(wiped.readBack, 'direct');
  const left = readFileSync(sticks[1].file);
  t.is(left.length, 24 * mib + 3 * 512);
  t.true(left.equals(Buffer.alloc(left.length)), 'to the last sector');
  t.true(readFileSync(sticks[0].file).equals(others));
});

test.serial('another kit’s stick is refused; a stranger’s is told', withSticks, async (t, s) => {
  const { bench, sticks, list } = s;
  const [alice, bob] = bench.campaign.kits;
  const [{ path, file }] = sticks;
  const stranger = await wipe(bench, alice, path, list);
  t.false(stranger.known);
  t.regex(stranger.plan.note!, /NOT KNOWN as alice’s/);
  await flash(bench, bob, path, list);
  const before = readFileSync(file);
  await t.throwsAsync(wipe(bench, alice, path, list), { code: 'drive-of-another-kit' });
  t.true(readFileSync(file).equals(before));
});

test.serial('a stick in use is refused by the rule and by the kernel', withSticks, async (t, s) => {
  const { bench, sticks, list } = s;
  const [alice] = bench.campaign.kits;
  const [{ path, file }] = sticks;
  system('mkfs.ext4', ['-q', '-F', path]);
  const folder = join(bench.dir, 'mounted');
  mkdirSync(folder);
  system('mount', [path, folder]);
  try {
    await t.throwsAsync(wipe(bench, alice, path, list), { code: 'drive-mounted' });
    const blind: List = async () =>
      (await list()).map((device) => ({ ...device, mountpoints: [] }));
    const { run } = await wipe(bench, alice, path, blind);
    await t.throwsAsync(run(), { code: 'drive-in-use' });
  } finally {
    system('umount', [folder]);
  }
  t.is(readFileSync(file).readUInt16LE(1024 + 56), 0xef53, 'the file system is there still');
});

test.serial('a drive that keeps what it should forget is told to be unwiped', async (t) => {
  const bench = await makeBench();
  const [alice] = bench.campaign.kits;
  // From 8 MiB on it says that it writes, and does not; or it refuses.
  const stuck = `if [ $4 -ge 8388608 ]; then ${dropWrite}; else ${soundWrite}; fi`;
  const broken = `if [ $4 -ge 8388608 ]; then ${dropWrite}; ${failWith('EIO')}; else ${dropWrite}; fi`;
  try {
    for (const write of [stuck, broken]) {
      const drive = await attachFaulty(bench.dir, 16 * mib, { read: soundRead, write });
      try {
        const old = Buffer.alloc(16 * mib);
        fillSeeded(old, 7);
        const memory = await open(drive.file, 'r+');
        await memory.write(old);
        await memory.close();
        const list: List = () => listWithFaulty([drive]);
        const { run } = await wipe(bench, alice, drive.path, list);
        const error = (await t.throwsAsync(run(), { instanceOf: KitError })) as KitError;
        t.is(error.code, 'wipe-failed');
        t.regex(error.hint!, /destroy the drive/);
        t.is(bench.record.latest('alice', 'wipe')?.status, 'failed');
      } finally {
        await drive.detach();
      }
    }
  } finally {
    bench.remove();
  }
});
