// Flashing drives that fail: each error comes from the kernel's block layer, none is thrown by a
// mock. The drive beside the bad one must always come out whole.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { findKit } from '../../provisioner/campaign/campaign.ts';
import { flashKits } from '../../provisioner/drive/flash.ts';
import type { FlashDeps } from '../../provisioner/drive/job.ts';
import { KitError } from '../../provisioner/errors.ts';
import { makeBench, type TestBench } from '../helpers/bench.ts';
import { attachFaulty, listWithFaulty, type Fault } from '../helpers/faulty-drive.ts';
import { dropWrite, failWith, soundRead, soundWrite } from '../helpers/faulty-drive.ts';
import { makeTinyImage, tinyImage, type TinyImage } from '../helpers/tiny-image.ts';

const mib = 1 << 20;
const driveBytes = 64 * mib;

type Drive = Awaited<ReturnType<typeof attachFaulty>>;

interface Scene extends TestBench {
  image: TinyImage;
  /** Alice's has the fault, Bob's is sound. */
  drives: Drive[];
  /** Flashes alice to the faulty drive and bob to the sound one, both at once. */
  flash(onProgress?: FlashDeps['onProgress']): Promise<unknown>;
}

const withFault = test.macro(
  async (
    t,
    fault: Fault,
    body: (t: ExecutionContext, scene: Scene) => Promise<void>,
  ) => {
    const bench = await makeBench();
    const image = makeTinyImage(join(bench.dir, 'images'));
    const drives: Drive[] = [];
    try {
      drives.push(await attachFaulty(bench.dir, driveBytes, fault));
      drives.push(await attachFaulty(bench.dir, driveBytes));
      const jobs = ['alice', 'bob'].map((name, at) => ({
        ...{ kit: findKit(bench.campaign, name), drive: drives[at].path },
      }));
      const flash: Scene['flash'] = (onProgress = () => {}) =>
        flashKits(jobs, {
          ...{ campaign: bench.campaign, secrets: bench.secrets, record: bench.record },
          ...{ image: image.path, fileSizeBytes: 0, onProgress },
          listBlockDevices: () => listWithFaulty(drives),
          confirm: async () => {},
        });
      await body(t, { ...bench, image, drives, flash });
    } finally {
      const detached = await Promise.allSettled(drives.map((drive) => drive.detach()));
      for (const outcome of detached) if (outcome.status === 'rejected') t.log(outcome.reason);
      bench.remove();
    }
  },
);

/** Alice's drive failed for this reason and does not boot; Bob's is whole. */
function failsAlone(code: string) {
  return async (t: ExecutionContext, s: Scene): Promise<void> => {
    await aliceFails(t, s, s.flash(), code);
  };
}

async function aliceFails(
  t: ExecutionContext,
  s: Scene,
  flashing: Promise<unknown>,
  code: string,
): Promise<void> {
  const error = await t.throwsAsync(flashing, { instanceOf: KitError });
  t.is(error?.code, 'some-drives-failed', error?.message);
  t.is(s.record.latest('alice', 'flash')?.detail['code'], code, error?.got);
  t.false(isBootable(s.drives[0]), 'what is left on the faulty drive does not boot');
  t.truthy(s.record.lastDone('bob', 'flash'));
  t.true(holdsImage(s.drives[1], s.image), 'the other drive is whole');
}

const at12MiB = 12 * mib;
const putAt = (atBytes: number) =>
  `dd of="$memory" oflag=seek_bytes seek=${atBytes} conv=notrunc status=none`;
const covers = (atBytes: number) => `[ $4 -le ${atBytes} ] && [ $(($4 + $3)) -gt ${atBytes} ]`;

test.serial(
  'a spot that cannot be written',
  withFault,
  { write: `if ${covers(at12MiB)}; then ${dropWrite}; ${failWith('EIO')}; fi; ${soundWrite}` },
  failsAlone('drive-failing'),
);

test.serial(
  'a spot that cannot be read back',
  withFault,
  { read: `if ${covers(at12MiB)}; then ${failWith('EIO')}; fi; ${soundRead}` },
  failsAlone('drive-failing'),
);

test.serial(
  'one byte that comes back wrong',
  withFault,
  {
    write: `${soundWrite}; if ${covers(at12MiB)}; then printf X | ${putAt(at12MiB)}; fi`,
  },
  failsAlone('drive-differs'),
);

test.serial(
  'a drive that is full where it claims room',
  withFault,
  { write: `if [ $4 -ge ${13 * mib} ]; then ${dropWrite}; ${failWith('ENOSPC')}; fi; ${soundWrite}` },
  failsAlone('drive-full'),
);

const realBytes = driveBytes / 2;

test.serial(
  'a drive that drops what goes beyond its real size',
  withFault,
  { write: `if [ $4 -ge ${realBytes} ]; then ${dropWrite}; else ${soundWrite}; fi` },
  failsAlone('drive-smaller-than-it-says'),
);

const wrapped = `set -- "$1" "$2" "$3" $(($4 % ${realBytes}))`;

test.serial(
  'a drive that begins anew beyond its real size',
  withFault,
  { read: `${wrapped}; ${soundRead}`, write: `${wrapped}; ${soundWrite}` },
  failsAlone('drive-smaller-than-it-says'),
);

test.serial('a drive pulled out while it is written', withFault, {}, async (t, s) => {
  let pulled = false;
  const flashing = s.flash(({ kit, phase, doneBytes }) => {
    if (pulled || kit !== 'alice' || phase !== 'write' || doneBytes < 2 * mib) return;
    pulled = true;
    s.drives[0].pullOut();
  });
  await aliceFails(t, s, flashing, 'drive-vanished');
  t.true(pulled);
});

/**
 * From 6 MiB on it takes nothing before it is told to, be that a second or an hour. All four transfers
 * hang then: package.json gives these tests as many threads as pinned-node.js gives kit.
 */
const waits = `until [ -e "$memory.go" ]; do sleep 0.1; done`;
const stalled = { write: `if [ $4 -ge ${6 * mib} ]; then ${waits}; fi; ${soundWrite}` };

test.serial('a drive that stalls keeps no other waiting', withFault, stalled, async (t, s) => {
  const done: string[] = [];
  await s.flash(({ kit, phase }) => {
    if (phase !== 'done') return;
    done.push(kit);
    if (kit === 'bob') writeFileSync(`${s.drives[0].file}.go`, '');
  });
  t.deepEqual(done, ['bob', 'alice'], 'one is proven while all of the other’s transfers hang');
  for (const drive of s.drives) t.true(holdsImage(drive, s.image));
});

/** Every mapped byte outside the boot partition, which has the kit's identity in it. */
function holdsImage({ file }: Drive, { raw, manifest }: TinyImage): boolean {
  const found = readFileSync(file);
  const { offsetBytes, sizeBytes } = tinyImage.esp;
  return manifest.ranges.every(([at, size]) => {
    if (at < offsetBytes + sizeBytes && at + size > offsetBytes) return true;
    return found.subarray(at, at + size).equals(raw.subarray(at, at + size));
  });
}

/** Firmware looks for a boot sector's signature (MBR, 55 AA at 510) or a GPT header at sector 1. */
function isBootable({ file }: Drive): boolean {
  const found = readFileSync(file).subarray(0, 2 * 512);
  return found.readUInt16BE(510) === 0x55aa || found.toString('latin1', 512, 520) === 'EFI PART';
}
