// Flashing real block devices: loop devices, dressed as USB sticks for the one rule that asks.

import { mkdirSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { findKit } from '../../../provisioner/campaign/campaign.ts';
import { flashKits } from '../../../provisioner/drive/flash.ts';
import type { FlashDeps } from '../../../provisioner/drive/job.ts';
import { listBlockDevices } from '../../../provisioner/drive/lsblk.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { makeBench, type TestBench } from '../../helpers/bench.ts';
import { changeByte } from '../../helpers/change-byte.ts';
import { attachLoop, listWithSticks, system, type LoopDrive } from '../../helpers/loop.ts';
import { fillSeeded, makeTinyImage, tinyImage, type TinyImage } from '../../helpers/tiny-image.ts';

const mib = 1 << 20;

interface Scene extends TestBench {
  image: TinyImage;
  deps: FlashDeps;
  sticks: LoopDrive[];
}

/** Two sticks full of old bytes; the second's size is no whole number of pages, as sticks' are. */
const withSticks = test.macro(
  async (t, body: (t: ExecutionContext, scene: Scene) => Promise<void>) => {
    const bench = await makeBench();
    const image = makeTinyImage(join(bench.dir, 'images'));
    const sizes = [20 * mib, 24 * mib + 3 * 512];
    const sticks: LoopDrive[] = [];
    try {
      for (const [at, size] of sizes.entries()) {
        const stick = attachLoop(join(bench.dir, `stick${at}`), size);
        sticks.push(stick);
        const old = Buffer.alloc(size);
        fillSeeded(old, at + 50);
        await writeDevice(stick.path, old);
      }
      const deps: FlashDeps = {
        ...{ campaign: bench.campaign, secrets: bench.secrets, record: bench.record },
        image: image.path,
        fileSizeBytes: 32 * mib,
        listBlockDevices: () => listWithSticks(sticks.map(({ path }) => path)),
        confirm: async () => {},
        onProgress: () => {},
      };
      await body(t, { ...bench, image, deps, sticks });
    } finally {
      for (const stick of sticks) stick.detach();
      bench.remove();
    }
  },
);

test.serial('two sticks at once: mapped bytes new, old ends gone', withSticks, async (t, s) => {
  const jobs = ['alice', 'bob'].map((name, at) => ({
    ...{ kit: findKit(s.campaign, name), drive: s.sticks[at].path },
  }));
  const results = await flashKits(jobs, s.deps);
  for (const [at, result] of results.entries()) {
    t.is(result.kind, 'block');
    t.is(result.readBack, 'direct');
    const found = readDevice(s.sticks[at]);
    for (const [offset, size] of s.image.manifest.ranges) {
      if (overlapsEsp(offset, size)) continue;
      const wanted = s.image.raw.subarray(offset, offset + size);
      t.true(found.subarray(offset, offset + size).equals(wanted));
    }
    t.true(found.subarray(-mib).equals(Buffer.alloc(mib)), 'no old GPT at the end');
    const esp = `${s.sticks[at].path}@@${tinyImage.esp.offsetBytes}`;
    t.is(system('mcopy', ['-i', esp, '::/kit/hostname', '-']), `${jobs[at].kit.name}\n`);
  }
  t.is(s.record.lastDone('bob', 'flash')?.detail['serial'], results[1].serial);
});

test.serial('a loop device as it is, is refused', withSticks, async (t, s) => {
  const job = { kit: findKit(s.campaign, 'alice'), drive: s.sticks[0].path };
  const before = readDevice(s.sticks[0]);
  const flashing = flashKits([job], { ...s.deps, listBlockDevices });
  const error = await t.throwsAsync(flashing, { instanceOf: KitError });
  t.is(error.code, 'drive-not-a-drive');
  t.true(readDevice(s.sticks[0]).equals(before));
});

test.serial('a mounted stick is refused by the rule and the kernel', withSticks, async (t, s) => {
  const { path } = s.sticks[0];
  system('mkfs.ext4', ['-q', '-F', path]);
  const folder = join(s.dir, 'mounted');
  mkdirSync(folder);
  system('mount', [path, folder]);
  try {
    const job = { kit: findKit(s.campaign, 'alice'), drive: path };
    const byRule = await t.throwsAsync(flashKits([job], s.deps), { instanceOf: KitError });
    t.is(byRule.code, 'drive-mounted');
    // Mounted where lsblk cannot see, as in another namespace: the kernel's O_EXCL still says no.
    const blind = async () =>
      (await s.deps.listBlockDevices()).map((device) => ({ ...device, mountpoints: [] }));
    const flashing = flashKits([job], { ...s.deps, listBlockDevices: blind });
    const byKernel = await t.throwsAsync(flashing, { instanceOf: KitError });
    t.is(byKernel.code, 'drive-in-use');
  } finally {
    system('umount', [folder]);
  }
});

test.serial('another stick under the same name is spared', withSticks, async (t, s) => {
  let swapped = false;
  const list = async () =>
    (await s.deps.listBlockDevices()).map((device) => ({
      ...device,
      serial: swapped ? `${device.serial}-other` : device.serial,
    }));
  const confirm = async () => {
    swapped = true;
  };
  const before = readDevice(s.sticks[0]);
  const job = { kit: findKit(s.campaign, 'alice'), drive: s.sticks[0].path };
  const flashing = flashKits([job], { ...s.deps, listBlockDevices: list, confirm });
  t.is((await t.throwsAsync(flashing, { instanceOf: KitError })).code, 'drive-changed');
  t.true(swapped);
  t.true(readDevice(s.sticks[0]).equals(before));
});

test.serial('an identical stick without a serial number is another one', withSticks, async (t, s) => {
  let swapped = false;
  // What the kernel counts is all that differs.
  const list = async () =>
    (await s.deps.listBlockDevices()).map((device) => ({
      ...{ ...device, serial: '' },
      diskSequence: swapped ? `${Number(device.diskSequence) + 1}` : device.diskSequence,
    }));
  const confirm = async () => {
    swapped = true;
  };
  const before = readDevice(s.sticks[0]);
  const job = { kit: findKit(s.campaign, 'alice'), drive: s.sticks[0].path };
  const flashing = flashKits([job], { ...s.deps, listBlockDevices: list, confirm });
  const error = await t.throwsAsync(flashing, { instanceOf: KitError });
  t.is(error.code, 'drive-changed');
  t.true(swapped);
  t.true(readDevice(s.sticks[0]).equals(before));
  const now = (await listBlockDevices()).find(({ path }) => path === s.sticks[0].path)!;
  t.regex(now.diskSequence, /^\d+$/, 'this kernel counts disks');
});

test.serial('another node under the same path is refused once it is open', withSticks, async (t, s) => {
  // A path of our own, that leads to the second stick when the first was shown.
  const path = join(s.dir, 'stick');
  const list = async () =>
    (await s.deps.listBlockDevices()).map((device) =>
      device.path === s.sticks[0].path ? { ...device, path } : device,
    );
  const [major, minor] = (await listBlockDevices())
    .find((device) => device.path === s.sticks[1].path)!
    .majorMinor.split(':');
  system('mknod', [path, 'b', major, minor]);
  const before = readDevice(s.sticks[1]);
  const job = { kit: findKit(s.campaign, 'alice'), drive: path };
  const flashing = flashKits([job], { ...s.deps, listBlockDevices: list });
  const error = await t.throwsAsync(flashing, { instanceOf: KitError });
  t.is(error.code, 'drive-changed');
  t.regex(error.got!, new RegExp(`${major}:${minor}`));
  t.true(readDevice(s.sticks[1]).equals(before));
});

test.serial('a stick under a loop device is in use, which only sysfs tells', withSticks, async (t, s) => {
  const { path } = s.sticks[0];
  const upper = system('losetup', ['--find', '--show', path]).trim();
  try {
    const job = { kit: findKit(s.campaign, 'alice'), drive: path };
    const error = await t.throwsAsync(flashKits([job], s.deps), { instanceOf: KitError });
    t.is(error.code, 'drive-in-use');
  } finally {
    system('losetup', ['--detach', upper]);
  }
});

test.serial('a stick that loses bytes is found out, and cannot boot', withSticks, async (t, s) => {
  let spoiled = false;
  const onProgress: FlashDeps['onProgress'] = ({ phase }) => {
    if (phase !== 'verify' || spoiled) return;
    spoiled = true;
    // Behind the kernel's cache of the stick: only a read from the stick itself sees it.
    changeByte(s.sticks[0].file, 13 * mib);
  };
  const job = { kit: findKit(s.campaign, 'alice'), drive: s.sticks[0].path };
  const flashing = flashKits([job], { ...s.deps, onProgress });
  t.is((await t.throwsAsync(flashing, { instanceOf: KitError })).code, 'drive-differs');
  const found = readDevice(s.sticks[0]);
  t.true(found.subarray(0, mib).equals(Buffer.alloc(mib)));
});

test.serial('the disk under a drive’s file is full', withSticks, async (t, s) => {
  const folder = join(s.dir, 'small');
  mkdirSync(folder);
  system('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder]);
  try {
    const job = { kit: findKit(s.campaign, 'alice'), drive: join(folder, 'alice.img') };
    const error = await t.throwsAsync(flashKits([job], s.deps), { instanceOf: KitError });
    t.is(error.code, 'drive-full');
    t.is(s.record.latest('alice', 'flash')?.detail['code'], 'drive-full');
  } finally {
    system('umount', [folder]);
  }
});

async function writeDevice(path: string, bytes: Buffer): Promise<void> {
  const device = await open(path, 'r+');
  await device.write(bytes, 0, bytes.length, 0);
  await device.sync();
  await device.close();
}

/** What is behind the loop device, once the kernel has let go of what it holds back. */
function readDevice({ path, file }: LoopDrive): Buffer {
  system('blockdev', ['--flushbufs', path]);
  return readFileSync(file);
}

function overlapsEsp(offset: number, size: number): boolean {
  const { offsetBytes, sizeBytes } = tinyImage.esp;
  return offset < offsetBytes + sizeBytes && offset + size > offsetBytes;
}
