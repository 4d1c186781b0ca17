// `npm run speed -- drives`: writing drives, side by side with what people would use instead and
// with what the drive itself can do; one drive and eight, as fast as memory and at a card's pace.
// docs/speed.md explains the tables.

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { SMALL_HEAP } from '../../provisioner/pinned-node.js';
import { makeBench } from '../helpers/bench.ts';
import { attachDrives, canThrottle, cardBytesPerSecond, throttle } from './drives-on-loop.ts';
import type { FlashReport } from './flash-drives.ts';
import { makeSpeedImage, type SpeedImage } from './image.ts';
import { compare, runAll, summarise, type Command, type Contender, type Timed } from './measure.ts';
import { timesTable, wantedTable, isMet, type Wanted } from './table.ts';

const many = 8;
/** Room for marks across the drive, and for the image; only what is written takes memory. */
const driveBytes = 2 ** 31;

export interface DrivesOptions {
  /** How often each contender runs on drives as fast as memory. */
  repeats: number;
  tell(text: string): void;
  print(text: string): void;
}

/** @returns whether everything wanted was met */
export async function measureDrives({ repeats, tell, print }: DrivesOptions): Promise<boolean> {
  refuseUnfit();
  const folder = mkdtempSync(join(tmpdir(), 'kit-speed-drives-'));
  let drives: ReturnType<typeof attachDrives> | undefined;
  const tidy = () => {
    if (drives !== undefined) throttle(drives.paths, undefined);
    drives?.detach();
    drives = undefined;
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', tidy);
  try {
    tell('Making an image of the size of a Debian node.');
    const image = await makeSpeedImage(folder);
    const bench = await benchFor(many, folder);
    drives = attachDrives(many, { driveBytes, usedBytes: image.sizeBytes }, folder);
    const { paths } = drives;
    const scene: Scene = { image, bench, paths };
    // Pages are given out and secrets are made once, before anything is timed.
    await runAll(paths.map((path) => rawWrite(image, path)));
    await flash(scene, paths);

    tell('One drive, as fast as memory.');
    const fast = await compareOne(scene, repeats, tell);
    tell(`${many} drives, as fast as memory.`);
    const fastMany = await compareMany(scene, Math.ceil(repeats / 2), tell);
    throttle(paths, cardBytesPerSecond);
    tell('One drive at the pace of a card.');
    const card = await compareOne(scene, 1, tell);
    tell(`${many} drives at the pace of a card.`);
    const cardMany = await compareMany(scene, 1, tell);

    const wanted = wantedOf({ fast, fastMany, card, cardMany });
    const where = drives.inMemory ? 'in memory' : 'in files on a disk';
    print(sceneText(image, where));
    const pace = `${cardBytesPerSecond / 1e6} MB/s`;
    print(timesTable(`one drive, ${where}`, fast));
    print(timesTable(`${many} drives, ${where}`, fastMany));
    print(timesTable(`one drive, ${pace}`, card));
    print(timesTable(`${many} drives, ${pace}`, cardMany));
    print(wantedTable(wanted));
    return wanted.every(isMet);
  } finally {
    tidy();
    process.off('exit', tidy);
  }
}

interface Scene {
  image: SpeedImage;
  /** A folder with a campaign, its secrets and its record. */
  bench: string;
  paths: string[];
}

function refuseUnfit(): void {
  if (process.getuid?.() !== 0) throw new Error('loop devices need root: sudo npm run speed');
  if (canThrottle()) return;
  throw new Error('the kernel offers no blkio.throttle.*_bps_device (cgroup v1)');
}

async function benchFor(kits: number, folder: string): Promise<string> {
  const head =
    'name = "Speed"\nledger = "http://ledger.test"\nledger_origin = "ledger.test/x"\ntimezone = "UTC"\n';
  const kit = (at: number) =>
    `[[kit]]\nname = "kit${at}"\ndomain = "kit${at}.test"\nowner = "owner${at}"\n`;
  const rows = Array.from({ length: kits }, (_, at) => kit(at));
  const made = await makeBench(`${head}image = "speed"\narch = "amd64"\n${rows.join('')}`);
  const bench = join(folder, 'bench');
  cpSync(made.dir, bench, { recursive: true });
  made.remove();
  return bench;
}

// What is compared. Writers that go through the page cache count until it is on the drive.

function rawWrite({ mappedBytes }: SpeedImage, drive: string): Command {
  const count = ['iflag=count_bytes,fullblock', `count=${mappedBytes}`];
  return ['dd', 'if=/dev/zero', `of=${drive}`, 'bs=4M', ...count, ...direct];
}

function rawRead({ mappedBytes }: SpeedImage, drive: string): Command {
  const count = ['iflag=direct,count_bytes,fullblock', `count=${mappedBytes}`];
  return ['dd', `if=${drive}`, 'of=/dev/null', 'bs=4M', ...count];
}

const direct = ['oflag=direct', 'conv=fsync'];

function ddRaw({ raw }: SpeedImage, drive: string): Command {
  return ['dd', `if=${raw}`, `of=${drive}`, 'bs=4M', ...direct];
}

function ddZst({ zst }: SpeedImage, drive: string): Command {
  const dd = `dd of=${drive} bs=4M iflag=fullblock ${direct.join(' ')}`;
  return ['bash', '-o', 'pipefail', '-c', `zstd -dcq ${zst} | ${dd}`];
}

function bmaptool(image: string, { bmap }: SpeedImage, drive: string): Command {
  return ['bmaptool', '--quiet', 'copy', '--bmap', bmap, image, drive];
}

const bmaptoolZst = (image: SpeedImage, drive: string) => bmaptool(image.zst, image, drive);
const bmaptoolRaw = (image: SpeedImage, drive: string) => bmaptool(image.raw, image, drive);

const flashScript = fileURLToPath(new URL('flash-drives.ts', import.meta.url));

/** Us, as a whole process. @throws Error if less was written or proven than the image maps */
async function flash({ bench, image }: Scene, paths: string[], file = image.zst) {
  for (const path of paths) await forgetKit(image, path);
  const kit: Command = [process.execPath, ...SMALL_HEAP, flashScript];
  const sample = await runAll([[...kit, bench, file, ...paths]]);
  const report = JSON.parse(sample.outputs[0]) as FlashReport;
  const { writtenBytes, verifiedBytes, readBack } = report;
  if (Math.min(writtenBytes, verifiedBytes) < image.mappedBytes || readBack !== 'direct') {
    throw new Error(`not all was written and read back from the drive: ${sample.outputs[0]}`);
  }
  return { ...sample, writtenSeconds: report.writtenSeconds };
}

/**
 * A drive as the others find it: of one that held a kit before, the whole boot partition is written,
 * that of no other.
 */
async function forgetKit({ espOffsetBytes }: SpeedImage, drive: string): Promise<void> {
  const at = ['oflag=direct,seek_bytes', `seek=${espOffsetBytes}`];
  await runAll([['dd', 'if=/dev/zero', `of=${drive}`, 'bs=4096', 'count=1', ...at]]);
}

const name = {
  limit: 'limit of the drive: write',
  limitBoth: 'limit of the drive: write, read',
  ddRaw: 'dd, raw image',
  ddZst: 'zstd -dc | dd',
  bmaptoolRaw: 'bmaptool copy, raw',
  bmaptoolZst: 'bmaptool copy, zst',
  usRaw: 'kit flash, raw: write',
  us: 'kit flash: write',
  usBoth: 'kit flash: write, read back',
} as const;

async function compareOne(scene: Scene, repeats: number, tell: (text: string) => void) {
  const [path] = scene.paths;
  return compareOn(scene, [path], {
    ...{ repeats, tell },
    others: [
      tool(name.ddRaw, (image, drive) => ddRaw(image, drive)),
      tool(name.ddZst, ddZst),
      tool(name.bmaptoolRaw, bmaptoolRaw),
      tool(name.bmaptoolZst, bmaptoolZst),
    ],
    ours: [{ name: name.usRaw, file: scene.image.raw }],
  });
}

/** As many processes of theirs as drives: they know of one drive each. */
async function compareMany(scene: Scene, repeats: number, tell: (text: string) => void) {
  const others = [tool(name.ddZst, ddZst), tool(name.bmaptoolZst, bmaptoolZst)];
  return compareOn(scene, scene.paths, { repeats, tell, others });
}

type Tool = { name: string; command: (image: SpeedImage, drive: string) => Command };

function tool(name: string, command: Tool['command']): Tool {
  return { name, command };
}

async function compareOn(
  scene: Scene,
  paths: string[],
  plan: {
    others: Tool[];
    /** Our writing of other files than the .img.zst. */
    ours?: { name: string; file: string }[];
    repeats: number;
    tell: (text: string) => void;
  },
): Promise<Timed[]> {
  const { image } = scene;
  const onAll = (make: Tool['command']) => () => runAll(paths.map((path) => make(image, path)));
  const writeSeconds: number[] = [];
  const contenders: Contender[] = [
    { name: name.limit, run: onAll(rawWrite) },
    { name: 'limit of the drive: read', run: onAll(rawRead) },
    ...plan.others.map(({ name, command }) => ({ name, run: onAll(command) })),
    ...(plan.ours ?? []).map(({ name, file }) => ({
      name,
      async run() {
        const sample = await flash(scene, paths, file);
        return { ...sample, seconds: sample.writtenSeconds };
      },
    })),
    {
      name: name.usBoth,
      async run() {
        const sample = await flash(scene, paths);
        writeSeconds.push(sample.writtenSeconds);
        return sample;
      },
    },
  ];
  const [write, read, ...rest] = await compare(contenders, plan.repeats, plan.tell);
  const both = rest.pop()!;
  const samplesOf = (timed: Timed, seconds: number[]) =>
    timed.samples.map((sample, at) => ({ ...sample, seconds: seconds[at] }));
  const sums = write.samples.map(({ seconds }, at) => seconds + read.samples[at].seconds);
  return [
    write,
    summarise(name.limitBoth, samplesOf(write, sums)),
    ...rest,
    summarise(name.us, samplesOf(both, writeSeconds)),
    both,
  ];
}

/** The ratios that the project promises, by the medians of this run. */
function wantedOf(tables: Record<'fast' | 'fastMany' | 'card' | 'cardMany', Timed[]>): Wanted[] {
  const { fast, fastMany, card, cardMany } = tables;
  const seconds = (rows: Timed[], which: string) =>
    rows.find((row) => row.name === which)!.medianSeconds;
  const ratio = (rows: Timed[], a: string, b: string) => seconds(rows, a) / seconds(rows, b);
  const peakMB = (rows: Timed[]) => rows.find((row) => row.name === name.us)!.peakBytes / 1e6;
  const noSlower = (where: string, rows: Timed[], than: string, us: string = name.us): Wanted => ({
    ...{ what: `${where}: our write / ${than}`, got: ratio(rows, us, than), atMost: 1 },
  });
  const nearLimit = (where: string, rows: Timed[]): Wanted => ({
    what: `${where}: write, read back / the limit`,
    ...{ got: ratio(rows, name.usBoth, name.limitBoth), atMost: 1.05 },
  });
  const all = [seconds(cardMany, name.usBoth), seconds(card, name.usBoth)];
  return [
    noSlower('one drive', fast, name.bmaptoolZst),
    noSlower('one drive', fast, name.bmaptoolRaw, name.usRaw),
    noSlower(`${many} drives`, fastMany, name.bmaptoolZst),
    noSlower('one card', card, name.bmaptoolZst),
    nearLimit('one card', card),
    nearLimit(`${many} cards`, cardMany),
    { what: `${many} cards / one card, all of it`, got: all[0] / all[1], atMost: 1.2 },
    { what: 'memory, one drive', got: peakMB(fast), atMost: 150, unit: ' MB' },
    { what: `memory, ${many} drives`, got: peakMB(fastMany), atMost: 150, unit: ' MB' },
  ];
}

function sceneText(image: SpeedImage, where: string): string {
  const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  const { sizeBytes, mappedBytes, zstSizeBytes, ranges } = image;
  return (
    `Image: ${mib(sizeBytes)}, of which ${mib(mappedBytes)} in ${ranges} ranges are mapped; ` +
    `${mib(zstSizeBytes)} as zstd. Drives: loop devices ${where}.`
  );
}
