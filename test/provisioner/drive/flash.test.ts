import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, linkSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import test, { type ExecutionContext } from 'ava';

import { findKit } from '../../../provisioner/campaign/campaign.ts';
import { flashKits } from '../../../provisioner/drive/flash.ts';
import type { FlashDeps, FlashPlan } from '../../../provisioner/drive/job.ts';
import { decodeProgress, progressAtBytes } from '../../../provisioner/drive/progress-page.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { makeBench, type TestBench } from '../../helpers/bench.ts';
import { changeByte } from '../../helpers/change-byte.ts';
import { fillSeeded, makeTinyImage, tinyImage, type TinyImage } from '../../helpers/tiny-image.ts';

const mib = 1 << 20;
/** Larger than the image: there is an end beyond it, to be blank. */
const driveBytes = 20 * mib;
const deadly = fileURLToPath(new URL('../../helpers/flash-and-die.ts', import.meta.url));

interface Scene extends TestBench {
  image: TinyImage;
  deps: FlashDeps;
  /** What the person was shown. */
  shown: FlashPlan[][];
  jobs(...drives: string[]): { kit: ReturnType<typeof findKit>; drive: string }[];
}

async function scene(): Promise<Scene> {
  const bench = await makeBench();
  const image = makeTinyImage(join(bench.dir, 'images'));
  const shown: FlashPlan[][] = [];
  const deps: FlashDeps = {
    ...{ campaign: bench.campaign, secrets: bench.secrets, record: bench.record },
    image: image.path,
    fileSizeBytes: driveBytes,
    listBlockDevices: async () => [],
    confirm: async (plans) => void shown.push(plans),
    onProgress: () => {},
  };
  const names = ['alice', 'bob'];
  const jobs = (...drives: string[]) =>
    drives.map((drive, at) => ({ kit: findKit(bench.campaign, names[at]), drive }));
  return { ...bench, image, deps, shown, jobs };
}

type Body = (t: ExecutionContext, s: Scene) => Promise<void>;

const withScene = test.macro(async (t, body: Body) => {
  const s = await scene();
  try {
    await body(t, s);
  } finally {
    s.remove();
  }
});

/** A file on the drive's boot partition, by mtools. */
function espFile(drive: string, path: string): string {
  const at = `${drive}@@${tinyImage.esp.offsetBytes}`;
  return execFileSync('mcopy', ['-i', at, `::${path}`, '-'], { stdio: 'pipe' }).toString();
}

async function failure(promise: Promise<unknown>): Promise<KitError> {
  return promise.then(
    () => {
      throw new Error('expected a failure');
    },
    (error: unknown) => {
      if (error instanceof KitError) return error;
      throw error;
    },
  );
}

test('two kits at once, each identity on its own drive', withScene, async (t, s) => {
  const drives = ['alice.img', 'bob.img'].map((name) => join(s.dir, name));
  const results = await flashKits(s.jobs(...drives), s.deps);
  t.is(results.length, 2);
  for (const [at, drive] of drives.entries()) {
    const found = readFileSync(drive);
    t.is(found.length, driveBytes);
    const { esp } = tinyImage;
    const espEnd = esp.offsetBytes + esp.sizeBytes;
    t.true(found.subarray(0, esp.offsetBytes).equals(s.image.raw.subarray(0, esp.offsetBytes)));
    t.true(found.subarray(espEnd, 16 * mib).equals(s.image.raw.subarray(espEnd)));
    t.true(found.subarray(16 * mib).equals(Buffer.alloc(driveBytes - 16 * mib)));
    t.is(statSync(drive).mode & 0o777, 0o600, 'it holds a private key');
    const name = ['alice', 'bob'][at];
    t.is(espFile(drive, '/kit/version'), '2\n');
    t.is(espFile(drive, '/kit/hostname'), `${name}\n`);
    t.is(espFile(drive, '/kit/domain'), `${name}.test\n`);
    t.is(espFile(drive, '/kit/locale'), name === 'bob' ? 'de_DE.UTF-8\n' : 'C.UTF-8\n');
    const secrets = await s.secrets.kit(findKit(s.campaign, name));
    t.is(espFile(drive, '/kit/ssh_host_ed25519_key'), secrets.sshHostKey.privatePem);
    t.is(espFile(drive, '/EFI/BOOTX64.EFI'), 'boot'.repeat(25_000));
    t.is(results[at].hostKeyFingerprint, secrets.sshHostKey.fingerprint);
  }
  t.is(espFile(drives[1], '/kit/network').split('\n')[0], 'address=192.168.77.9/24');
  t.throws(() => espFile(drives[0], '/kit/network'));
});

test('a kit whose Wi-Fi cannot be told stops all, before anybody is asked', withScene, async (t, s) => {
  const drives = ['alice.img', 'bob.img'].map((name) => join(s.dir, name));
  const jobs = s.jobs(...drives);
  jobs[1].kit = { ...jobs[1].kit, network: { wifi: { ssid: 'Home', country: 'AT' } } };
  t.is((await failure(flashKits(jobs, s.deps))).code, 'wifi-passphrase-missing');
  t.deepEqual(s.shown, []);
  t.deepEqual(drives.filter((drive) => existsSync(drive)), []);
  await s.secrets.keepWifi(jobs[1].kit, { ssid: 'Home', passphrase: 'open sesame' });
  await flashKits(jobs, s.deps);
  t.regex(espFile(drives[1], '/kit/wifi'), /^passphrase=open sesame$/m);
});

test('a drive’s file stays sparse', withScene, async (t, s) => {
  const drive = join(s.dir, 'alice.img');
  await flashKits(s.jobs(drive), { ...s.deps, fileSizeBytes: 256 * mib });
  const { size, blocks } = statSync(drive);
  t.is(size, 256 * mib);
  t.true(blocks * 512 < 16 * mib, `${blocks * 512} bytes on the disk`);
});

test('a file that kit made may be written again', withScene, async (t, s) => {
  const drive = join(s.dir, 'alice.img');
  await flashKits(s.jobs(drive), s.deps);
  await flashKits(s.jobs(drive), s.deps);
  t.deepEqual(s.shown.map(([plan]) => plan.contents), ['', 'the drive that kit made for alice']);
  t.is(espFile(drive, '/kit/hostname'), 'alice\n');
  const steps = s.record.history('alice').map(({ status }) => status);
  t.deepEqual(steps, ['started', 'done', 'started', 'done']);
});

test('no other file is ever overwritten', withScene, async (t, s) => {
  const precious = join(s.dir, 'thesis.pdf');
  writeFileSync(precious, 'years of work');
  const error = await failure(flashKits(s.jobs(precious), s.deps));
  t.is(error.code, 'file-not-ours');
  t.is(readFileSync(precious, 'utf8'), 'years of work');
  t.is(s.shown.length, 0, 'nobody was asked');

  const link = join(s.dir, 'link.img');
  symlinkSync(precious, link);
  t.is((await failure(flashKits(s.jobs(link), s.deps))).code, 'file-not-ours');
  t.is(readFileSync(precious, 'utf8'), 'years of work');
});

test('a file of ours whose content was replaced is not ours any more', withScene, async (t, s) => {
  const drive = join(s.dir, 'alice.img');
  await flashKits(s.jobs(drive), s.deps);
  const content = Buffer.alloc(driveBytes);
  fillSeeded(content, 9);
  writeFileSync(drive, content); // The same inode.
  const error = await failure(flashKits(s.jobs(drive), s.deps));
  t.is(error.code, 'file-not-ours');
  t.is(error.got, 'a file whose content was replaced');
  t.true(readFileSync(drive).equals(content));
});

test('a file that came after the plan is not touched', withScene, async (t, s) => {
  const drive = join(s.dir, 'alice.img');
  const confirm = async () => writeFileSync(drive, 'made while the person thought');
  const error = await failure(flashKits(s.jobs(drive), { ...s.deps, confirm }));
  t.is(error.code, 'drive-changed');
  t.is(readFileSync(drive, 'utf8'), 'made while the person thought');
});

test('a file that somebody has open is in use', withScene, async (t, s) => {
  const drive = join(s.dir, 'alice.img');
  await flashKits(s.jobs(drive), s.deps);
  const held = await open(drive);
  const error = await failure(flashKits(s.jobs(drive), s.deps));
  await held.close();
  t.is(error.code, 'drive-in-use');
});

const spoil: Record<string, [code: string, (image: TinyImage) => void]> = {
  'cut short': ['image-truncated', (i) => truncateSync(i.path, statSync(i.path).size >> 1)],
  'another one': ['image-wrong-hash', (i) => changeByte(i.path, statSync(i.path).size >> 1)],
  'no image': ['image-unknown-kind', (i) => writeFileSync(i.path, 'PK\x03\x04 a zip')],
  empty: ['image-unknown-kind', (i) => writeFileSync(i.path, '')],
  'without manifest': ['manifest-missing', (i) => writeFileSync(i.path, '')],
};

for (const [name, [code, change]] of Object.entries(spoil)) {
  test(`an image that is ${name}: ${code}, and nothing is made`, withScene, async (t, s) => {
    change(s.image);
    const image = name === 'without manifest' ? join(s.dir, 'other.img.zst') : s.image.path;
    if (name === 'without manifest') writeFileSync(image, readFileSync(s.image.path));
    const drive = join(s.dir, 'alice.img');
    const error = await failure(flashKits(s.jobs(drive), { ...s.deps, image }));
    t.is(error.code, code);
    t.throws(() => statSync(drive), { message: /ENOENT/ });
  });
}

test('an image that is not there', withScene, async (t, s) => {
  const image = join(s.dir, 'none.img.zst');
  const error = await failure(flashKits(s.jobs(join(s.dir, 'a.img')), { ...s.deps, image }));
  t.is(error.code, 'image-missing');
});

test('where a campaign names signers, an unsigned image is written nowhere', withScene, async (t, s) => {
  const signer = `wren ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${'A'.repeat(43)}`;
  const deps = { ...s.deps, campaign: { ...s.campaign, imageSigners: [signer] } };
  const drive = join(s.dir, 'alice.img');
  const error = await failure(flashKits(s.jobs(drive), deps));
  t.is(error.code, 'image-unsigned');
  t.throws(() => statSync(drive), { code: 'ENOENT' });
});

test('with a range that is not the manifest’s nothing boots', withScene, async (t, s) => {
  // The compressed file is vouched for, so the lie is only met while writing.
  const { manifest } = s.image;
  const last = manifest.ranges.length - 1;
  const ranges = manifest.ranges.map(([at, size, hash], index) =>
    index === last ? [at, size, '0'.repeat(64)] : [at, size, hash],
  );
  writeFileSync(join(s.dir, 'images/tiny-amd64.json'), JSON.stringify({ ...manifest, ranges }));
  const drive = join(s.dir, 'alice.img');
  const error = await failure(flashKits(s.jobs(drive), s.deps));
  t.is(error.code, 'image-wrong-hash');
  assertDead(t, drive, 'none');
  t.is(s.record.latest('alice', 'flash')?.status, 'failed');
  t.is(s.record.latest('alice', 'flash')?.detail['code'], 'image-wrong-hash');
});

test('stopped at any moment, the drive does not boot', withScene, async (t, s) => {
  const drive = join(s.dir, 'alice.img');
  const phases = ['prepare', 'write', 'flush', 'verify'] as const;
  for (const phase of phases) {
    const stop = new AbortController();
    const onProgress: FlashDeps['onProgress'] = (progress) => {
      if (progress.phase === phase) stop.abort();
    };
    const deps = { ...s.deps, onProgress, signal: stop.signal };
    const error = await failure(flashKits(s.jobs(drive), deps));
    t.is(error.code, 'interrupted', phase);
    assertDead(t, drive, 'progress');
  }
  await flashKits(s.jobs(drive), s.deps);
  t.true(readFileSync(drive).subarray(0, mib).equals(s.image.raw.subarray(0, mib)));
});

for (const moment of ['opened', 'started', 'prepare', 'write', 'flush', 'verify', 'done']) {
  test(`killed when ${moment}, the next flash goes through`, withScene, async (t, s) => {
    const drive = join(s.dir, 'alice.img');
    const args = [deadly, s.dir, s.image.path, drive, moment];
    const { signal } = spawnSync(process.execPath, args, { stdio: 'inherit' });
    t.is(signal, 'SIGKILL');
    // Until everything was read back, nothing boots.
    if (['prepare'].includes(moment)) t.is(statSync(drive).size, 0);
    if (['write', 'flush', 'verify'].includes(moment)) assertDead(t, drive, 'progress');
    await flashKits(s.jobs(drive), s.deps);
    t.true(readFileSync(drive).subarray(0, mib).equals(s.image.raw.subarray(0, mib)));
    t.is(s.record.latest('alice', 'flash')?.status, 'done');
  });
}

test('what the drive does not keep is found by reading back', withScene, async (t, s) => {
  const drive = join(s.dir, 'alice.img');
  let spoiled = false;
  const onProgress: FlashDeps['onProgress'] = ({ phase }) => {
    if (phase !== 'verify' || spoiled) return;
    spoiled = true;
    changeByte(drive, 13 * mib + 5);
  };
  const error = await failure(flashKits(s.jobs(drive), { ...s.deps, onProgress }));
  t.true(spoiled);
  t.is(error.code, 'drive-differs');
  assertDead(t, drive, 'none');
});

test('an image larger than the drive', withScene, async (t, s) => {
  const drive = join(s.dir, 'alice.img');
  const deps = { ...s.deps, fileSizeBytes: 15 * mib };
  t.is((await failure(flashKits(s.jobs(drive), deps))).code, 'image-too-big');
  t.throws(() => statSync(drive));
});

test('a drive exactly as large as the image holds all of it', withScene, async (t, s) => {
  const drive = join(s.dir, 'alice.img');
  await flashKits(s.jobs(drive), { ...s.deps, fileSizeBytes: 16 * mib });
  t.true(readFileSync(drive).subarray(15 * mib).equals(s.image.raw.subarray(15 * mib)));
});

test('an empty file counts as new, and is closed to others', withScene, async (t, s) => {
  const drive = join(s.dir, 'alice.img');
  writeFileSync(drive, '', { mode: 0o644 });
  await flashKits(s.jobs(drive), s.deps);
  t.is(statSync(drive).mode & 0o777, 0o600);
});

test('the same drive twice, also by a link', withScene, async (t, s) => {
  const drive = join(s.dir, 'alice.img');
  writeFileSync(drive, '');
  const link = join(s.dir, 'link.img');
  symlinkSync(drive, link);
  const error = await failure(flashKits(s.jobs(drive, link), s.deps));
  t.is(error.code, 'same-drive-twice');
  t.is(error.exitCode, 2);
});

test('a file with a second name is left alone', withScene, async (t, s) => {
  const drives = ['alice.img', 'bob.img'].map((name) => join(s.dir, name));
  writeFileSync(drives[0], '');
  linkSync(drives[0], drives[1]);
  t.is((await failure(flashKits(s.jobs(...drives), s.deps))).code, 'file-not-ours');
  t.is(statSync(drives[0]).size, 0);
});

test('a file that is read-only stays as it is, also for root', withScene, async (t, s) => {
  const drive = join(s.dir, 'alice.img');
  await flashKits(s.jobs(drive), s.deps);
  chmodSync(drive, 0o400);
  t.is((await failure(flashKits(s.jobs(drive), s.deps))).code, 'drive-read-only');
});

test('one drive that fails leaves the other alone', withScene, async (t, s) => {
  const drives = ['alice.img', 'bob.img'].map((name) => join(s.dir, name));
  const confirm = async () => writeFileSync(drives[0], 'in the way');
  const error = await failure(flashKits(s.jobs(...drives), { ...s.deps, confirm }));
  t.is(error.code, 'some-drives-failed');
  t.is(s.record.latest('alice', 'flash')?.status, 'failed');
  t.is(s.record.latest('bob', 'flash')?.status, 'done');
  t.is(espFile(drives[1], '/kit/hostname'), 'bob\n');
});

test('folders, missing folders and missing drives', withScene, async (t, s) => {
  t.is((await failure(flashKits(s.jobs(s.dir), s.deps))).code, 'drive-not-a-drive');
  t.is((await failure(flashKits(s.jobs('/dev/full'), s.deps))).code, 'drive-not-a-drive');
  const kernels = '/proc/self/comm'; // Empty, as stat tells.
  t.is((await failure(flashKits(s.jobs(kernels), s.deps))).code, 'drive-not-a-drive');
  const lost = join(s.dir, 'no/such/alice.img');
  t.is((await failure(flashKits(s.jobs(lost), s.deps))).code, 'drive-no-folder');
  t.is((await failure(flashKits(s.jobs('/dev/sdzz'), s.deps))).code, 'drive-vanished');
});

/**
 * Neither BIOS nor UEFI finds anything to start: no boot sector, no GPT at either end. Only the page
 * that tells of the progress may be there; if a drive is worthless, not even that.
 */
function assertDead(t: ExecutionContext, drive: string, page: 'progress' | 'none'): void {
  const bytes = readFileSync(drive);
  const progress = decodeProgress(bytes.subarray(progressAtBytes, progressAtBytes + 4096));
  t.is(progress === undefined ? 'none' : 'progress', page);
  if (page === 'progress') bytes.fill(0, progressAtBytes, progressAtBytes + 4096);
  t.true(bytes.subarray(0, mib).equals(Buffer.alloc(mib)), 'the first MiB is blank');
  t.true(bytes.subarray(-mib).equals(Buffer.alloc(mib)), 'the last MiB is blank');
}
