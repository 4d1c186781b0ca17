// `npm run test:usb`: `kit flash` in a machine with USB sticks (QEMU's, on its xHCI), which are
// pulled out and exchanged while it writes. Nothing is dressed up: the kernel's unplug errors, its
// O_EXCL, udev's serial numbers and the rule of eligible.ts are what a volunteer's machine has.
// The guest is started from the snac image (built where there is none). Takes minutes, needs no
// root, prints a line a step and `N passed, N failed` at the end.
//
//   npm run test:usb [-- --images DIR]

import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { createReadStream, createWriteStream } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createZstdDecompress } from 'node:zlib';
import { deepStrictEqual as same, ok } from 'node:assert';
import { setTimeout as delay } from 'node:timers/promises';

import { readManifest, type ImageManifest } from '../../provisioner/drive/manifest.ts';
import { findImage } from '../boot/subject.ts';
import { makeBench } from '../helpers/bench.ts';
import { createSteps } from '../helpers/steps.ts';
import { makeSpeedImage } from '../speed/image.ts';
import { bootGuest, makeStick, type Guest, type Stick } from './guest.ts';
import { makePayload, run } from './payload.ts';

const mib = 2 ** 20;
const stickBytes = 256 * mib;
/** Half a minute a stick: time to pull it out, and to save progress (every 5 s) before that. */
const stickBytesPerSecond = mib;
const shape = { sizeBytes: 112 * mib, rootMappedBytes: 24 * mib, rootRanges: 40 };

const { values } = parseArgs({ options: { images: { type: 'string', default: 'built' } } });
const stop = new AbortController();
process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort());
const { step, end } = createSteps(stop.signal);
const dir = await mkdtemp(join(tmpdir(), 'kit-usb-'));
let guest: Guest | undefined;
try {
  await testAll();
} finally {
  await guest?.end();
  await rm(dir, { recursive: true });
}
end();

async function testAll(): Promise<void> {
  const names = ['alice', 'bob', 'carol', 'dora'];
  const sticks = Object.fromEntries(
    [...names, 'other'].map((name) => [name, makeStick(dir, name.toUpperCase(), stickBytes)]),
  );
  const image = await makeSpeedImage(dir, shape);
  const manifest = await readManifest(image.zst);
  const raw = readFileSync(image.raw);
  const drives = new Map<string, string>();
  const holds = (name: string) => holdsImage(sticks[name], raw, manifest);
  const path = (name: string) => drives.get(sticks[name].serial)!;

  await step('a machine with USB sockets starts', async () => {
    const campaign = await makeCampaign(names, [image.zst, join(dir, 'speed-amd64.json')]);
    const payload = await makePayload(dir, campaign);
    const machine = await prepareMachine();
    guest = await bootGuest({
      ...{ dir, payload, sticks: Object.values(sticks), stickBytesPerSecond, ...machine },
    });
  });
  const kit = `kit --campaign /tmp/bench/campaign.toml --identity /tmp/bench/volunteer.key`;
  const image0 = '--image /tmp/bench/speed-amd64.img.zst';

  await step('kit drives offers the sticks, and not the disk it runs from', async () => {
    for (const name of ['alice', 'bob', 'carol']) await guest!.plug(sticks[name]);
    await settle(3);
    const { drives: found } = JSON.parse((await succeed(`${kit} --json drives`)).trim());
    const offered = found.filter((drive: { eligible: boolean }) => drive.eligible);
    for (const { serial, path: at } of offered) drives.set(serial, at);
    same([...drives.keys()].sort(), ['ALICE', 'BOB', 'CAROL']);
    const root = found.find((drive: { path: string }) => drive.path === '/dev/vda');
    same(root.refusals[0].code, 'system-disk');
  });

  await step('one of three sticks is pulled out: it is said, the others are proven', async () => {
    const three = ['alice', 'bob', 'carol'];
    const words = `${three.join(' ')} --drive ${three.map(path).join(' ')} ${image0} --yes`;
    let pulled = false;
    const events = await follow(`${kit} --json-events flash ${words}`, async (event) => {
      const isHalf = event.phase === 'write' && event.doneBytes > 0.6 * event.totalBytes;
      if (pulled || event.kit !== 'bob' || !isHalf) return;
      pulled = true;
      await guest!.pull(sticks['bob']);
    });
    ok(pulled, 'bob was never half written');
    same(events.status, 1);
    const { error } = events.lines.at(-1)!;
    same(error.code, 'some-drives-failed');
    ok(error.got.startsWith('bob: ') && error.got.includes('drive-vanished'), error.got);
    const done = events.lines.filter(({ phase }) => phase === 'done').map((event) => event.kit);
    same(done.sort(), ['alice', 'carol']);
    ok(holds('alice') && holds('carol'), 'the other sticks hold the image');
  });

  await step('what is on the stick that was pulled out does not boot', async () => {
    ok(!isBootable(sticks['bob']));
    ok(isBootable(sticks['alice']), 'a whole one would');
  });

  await step('plugged in again, it goes on from where it was', async () => {
    await guest!.plug(sticks['bob']);
    await settle(3);
    await look();
    const words = `bob --drive ${path('bob')} ${image0} --yes`;
    const events = await follow(`${kit} --json-events flash ${words}`);
    same(events.status, 0);
    const [result] = events.lines.at(-1)!.result.drives;
    ok(result.resumedAtBytes > 0, 'it began anew');
    ok(holds('bob') && isBootable(sticks['bob']));
  });

  await step('a stick exchanged while the plan is read is refused, and keeps its bytes', async () => {
    await guest!.plug(sticks['dora']);
    await settle(4);
    await look();
    const before = readFileSync(sticks['other'].file);
    const at = path('dora');
    await succeed('mkfifo /tmp/answer && { sleep 900 >/tmp/answer & }');
    const asking = `script -qfec "${kit} flash dora --drive ${at} ${image0}" /dev/null </tmp/answer`;
    let asked = false;
    const told: string[] = [];
    for await (const line of await guest!.start(asking)) {
      told.push(line);
      if (asked || !/nothing seen on it|ERASES/.test(line)) continue;
      asked = true;
      await guest!.pull(sticks['dora']);
      await settle(3);
      await guest!.plug(sticks['other']);
      await settle(4);
      await look();
      same(path('other'), at, 'the other stick took the name');
      await succeed('echo yes >/tmp/answer');
    }
    ok(told.some((line) => line.includes('error[drive-changed]')), told.join('\n'));
    ok(readFileSync(sticks['other'].file).equals(before));
    ok(!isBootable(sticks['dora']));
  });

  /** Waits until the guest shows so many sticks. */
  async function settle(count: number): Promise<void> {
    const seen = 'ls /sys/block | grep -c ^sd';
    for (let tries = 0; tries < 60; tries++) {
      const { output } = await guest!.run(`udevadm settle; ${seen}`);
      if (output.trim() === String(count)) return;
      await delay(500);
    }
    throw new Error(`there are not ${count} sticks: ${(await guest!.run('lsblk')).output}`);
  }

  async function look(): Promise<void> {
    const { drives: found } = JSON.parse(await succeed(`${kit} --json drives`));
    drives.clear();
    for (const { serial, path: at } of found) drives.set(serial, at);
  }
}

async function succeed(command: string): Promise<string> {
  const { status, output } = await guest!.run(command);
  if (status !== 0) throw new Error(`status ${status} of ${command}\n${output}`);
  return output;
}

/** What kit prints, looked at as it comes. */
type Event = Record<string, any>;

/** Runs kit with its events, to its end. */
async function follow(
  command: string,
  onEvent: (event: Event) => Promise<void> = async () => {},
): Promise<{ status: number; lines: Event[] }> {
  const lines: Event[] = [];
  let status = -1;
  for await (const line of await guest!.start(command)) {
    if (line.startsWith('@@')) status = Number(line.slice(2));
    else if (line.startsWith('{')) {
      const event = JSON.parse(line);
      lines.push(event);
      await onEvent(event);
    } else console.log(`        ${line}`);
  }
  return { status, lines };
}

async function makeCampaign(names: string[], files: string[]): Promise<string> {
  const head =
    'name = "Sticks"\nledger = "http://ledger.test"\nledger_origin = "ledger.test/commons"\n' +
    'image = "speed"\narch = "amd64"\ntimezone = "UTC"\n';
  const kits = names.map(
    (name) => `[[kit]]\nname = "${name}"\ndomain = "${name}.test"\nowner = "${name}"\n`,
  );
  const made = await makeBench(head + kits.join(''));
  const folder = join(dir, 'bench');
  // The secrets too: making them under emulation takes a while, and is not what is tested.
  await made.secrets.campaign();
  for (const kit of made.campaign.kits) await made.secrets.kit(kit);
  await cp(made.dir, folder, { recursive: true });
  made.remove();
  for (const file of files) await cp(file, join(folder, file.split('/').at(-1)!));
  return folder;
}

/** The snac image, with process 1 of ours put into its root. */
async function prepareMachine() {
  const { images } = values;
  const zst = await findImage({
    ...{ name: 'snac', arch: 'amd64', images, file: undefined, signal: stop.signal },
  });
  const root = join(dir, 'root.img');
  await pipeline(createReadStream(zst), createZstdDecompress(), createWriteStream(root));
  const { offsetBytes } = (await readManifest(zst)).root;
  const fileSystem = `${root}?offset=${offsetBytes}`;
  const boot = run('debugfs', ['-R', 'ls -p /boot', fileSystem]);
  const dump = (pattern: RegExp, name: string): string => {
    const file = join(dir, name);
    run('debugfs', ['-R', `dump /boot/${pattern.exec(boot)![0]} ${file}`, fileSystem]);
    return file;
  };
  const kernel = dump(/vmlinuz-[^/]+/, 'vmlinuz');
  const initrd = dump(/initrd\.img-[^/]+/, 'initrd');
  const script = fileURLToPath(new URL('init.sh', import.meta.url));
  run('debugfs', ['-w', '-R', `write ${script} kit-usb-init`, fileSystem]);
  return { kernel, initrd, root, init: '/kit-usb-init' };
}

/** Every mapped byte outside the boot partition, which has the kit's identity in it. */
function holdsImage({ file }: Stick, raw: Buffer, { esp, ranges }: ImageManifest): boolean {
  const found = readFileSync(file);
  return ranges.every(({ offsetBytes: at, sizeBytes }) => {
    const parts = [
      [at, Math.min(at + sizeBytes, esp.offsetBytes)],
      [Math.max(at, esp.offsetBytes + esp.sizeBytes), at + sizeBytes],
    ];
    return parts.every(
      ([from, to]) => from >= to || found.subarray(from, to).equals(raw.subarray(from, to)),
    );
  });
}

/** Firmware looks for a boot sector's signature (MBR, 55 AA at 510) or a GPT header at sector 1. */
function isBootable({ file }: Stick): boolean {
  const found = Buffer.alloc(2 * 512);
  const stick = openSync(file, 'r');
  readSync(stick, found);
  closeSync(stick);
  return found.readUInt16BE(510) === 0x55aa || found.toString('latin1', 512, 520) === 'EFI PART';
}
