// `kit drives` and `kit flash`: the command line of this folder.

import { join } from 'node:path';

import { Command, Option } from 'commander';

import { atWorkbench, type Workbench, type WorkbenchOptions } from '../bench/workbench.ts';
import type { Campaign } from '../campaign/campaign.ts';
import { KitError } from '../errors.ts';
import { createOutput, type Output } from '../terminal.ts';
import { confirmErasure } from './confirm.ts';
import { describeContents, judgeDrives, type Verdict } from './eligible.ts';
import { flashKits } from './flash.ts';
import type { DriveSecrets, FlashJob, FlashProgress, FlashResult } from './job.ts';
import { listBlockDevices } from './lsblk.ts';
import { slowBytesPerS } from './rate.ts';
import { parseSize, sizeText } from './size.ts';

/** What a file that stands for a drive grows to: room for a root file system to grow into. */
const defaultFileBytes = 2 ** 32;

export function commands(): Command[] {
  return [drivesCommand(), flashCommand()];
}

export function sizeOption(): Option {
  return new Option('--size <size>', 'how large a file that stands for a drive becomes')
    .argParser(parseSize)
    .default(defaultFileBytes, '4G');
}

export function drivesCommand(): Command {
  return new Command('drives')
    .description('list drives that may be erased, and why each other disk is refused')
    .action(async function (this: Command) {
      const output = createOutput(this.optsWithGlobals());
      const verdicts = judgeDrives(await listBlockDevices());
      output.result(drivesDocument(verdicts), drivesText(verdicts));
    });
}

export function flashCommand(): Command {
  return new Command('flash')
    .description('write kits, each with its own identity, to drives, and read them back')
    .argument('<kit...>', 'names of kits in the campaign')
    .requiredOption('--drive <path...>', 'a drive for each kit, in the same order')
    .option('--image <file>', 'the image (.img, .img.zst, .xz or .gz), its manifest beside it')
    .option('--images <dir>', "where the campaign's image lies (default: built, beside it)")
    .addOption(sizeOption())
    .option('--yes', 'erase without asking')
    .action(async function (this: Command, names: string[]) {
      const options = this.optsWithGlobals<FlashCommandOptions>();
      const output = createOutput(options);
      refuseMismatch(names, options.drive);
      await untilStopped(async (signal) => {
        const results = await atWorkbench({ ...options, kits: names }, (bench, kits) => {
          const jobs = kits.map((kit, index) => ({ kit, drive: options.drive[index] }));
          return flashAtBench(bench, jobs, { options, output, signal });
        });
        output.result({ drives: results }, results.map(resultText).join('\n'));
      });
    });
}

/** Ctrl-C lets a drive's writer save how far it came. */
export async function untilStopped<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    return await work(stop.signal);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

interface FlashCommandOptions extends FlashOptions, WorkbenchOptions {
  drive: string[];
}

export interface FlashOptions {
  json?: boolean;
  jsonEvents?: boolean;
  image?: string;
  images?: string;
  /** Bytes that a file standing for a drive grows to. */
  size: number;
  yes?: boolean;
}

/** Whether a person has agreed to erasing, and whether there is one to be asked. */
export function agreementOf({ yes, json, jsonEvents }: Omit<FlashOptions, 'size'>) {
  const interactive = process.stdin.isTTY === true && !json && !jsonEvents;
  return { yes: yes === true, interactive };
}

/** `kit flash` once the bench is open. @throws KitError those of {@link flashKits} */
export async function flashAtBench(
  { campaign, secrets, record }: Pick<Workbench, 'campaign' | 'record'> & { secrets: DriveSecrets },
  jobs: FlashJob[],
  { options, output, signal }: { options: FlashOptions; output: Output; signal: AbortSignal },
): Promise<FlashResult[]> {
  const asking = { ...agreementOf(options), input: process.stdin, output: process.stderr };
  return flashKits(jobs, {
    ...{ campaign, secrets, record, listBlockDevices, signal },
    image: imagePath(campaign, options),
    fileSizeBytes: options.size,
    confirm: (plans) => confirmErasure(plans, asking),
    onProgress: progressTo(output),
  });
}

/** Kits and drives go by the order in which they are named. */
function refuseMismatch(names: string[], drives: string[]): void {
  if (names.length === drives.length) return;
  throw new KitError({
    code: 'drives-do-not-match',
    message: 'There must be as many drives as kits',
    expected: `${names.length} drives for ${names.join(' ')}`,
    got: `${drives.length}: ${drives.join(' ')}`,
    hint: 'Name them in the same order: kit flash alice bob --drive A --drive B',
    exitCode: 2,
  });
}

/** The image of a campaign, where `kit image build` leaves it. */
export function imagePath(
  campaign: Campaign,
  options: { image?: string; images?: string },
): string {
  if (options.image !== undefined) return options.image;
  const folder = options.images ?? join(campaign.dir, 'built');
  return join(folder, `${campaign.image}-${campaign.arch}.img.zst`);
}

const words = {
  ...{ unpack: 'unpacking the image', prepare: 'clearing', write: 'writing', flush: 'flushing' },
  ...{ verify: 'reading back', done: 'done' },
};

/** Phases as they begin, and every tenth of the long ones. */
export function progressTo(output: Output): (progress: FlashProgress) => void {
  const told = new Map<string, string>();
  return (progress) => {
    const { kit, phase, doneBytes, totalBytes } = progress;
    const tenths = totalBytes === 0 ? 0 : Math.floor((doneBytes / totalBytes) * 10);
    const key = `${phase} ${tenths}`;
    if (phase !== 'stalled' && told.get(kit) === key) return;
    told.set(kit, key);
    const type = phase === 'stalled' ? 'stalled' : 'flash';
    output.event({ ...progress, type, text: `${kit}: ${wordsFor(progress, tenths)}` });
  };
}

function wordsFor(progress: FlashProgress, tenths: number): string {
  const { phase, doneBytes, totalBytes, resumedAtBytes, silentMs = 0 } = progress;
  if (phase === 'stalled') {
    return `the drive has not answered for ${Math.round(silentMs / 1000)} s; still waiting`;
  }
  const isBeginning = phase === 'write' && doneBytes === resumedAtBytes;
  if (isBeginning && resumedAtBytes > 0) {
    return `resuming at ${Math.floor((resumedAtBytes / totalBytes) * 100)} %`;
  }
  return totalBytes === 0 ? words[phase] : `${words[phase]} ${tenths * 10} %`;
}

export function resultText(result: FlashResult): string {
  const { kit, drive, writtenBytes, writeSeconds, verifySeconds, slow } = result;
  const written = `${sizeText(writtenBytes)} written in ${writeSeconds.toFixed(1)} s`;
  const ready = `${kit}: ${drive} is ready: ${written}, read back in ${verifySeconds.toFixed(1)} s`;
  if (!slow) return ready;
  const rate = sizeText(writtenBytes / writeSeconds);
  const wanted = sizeText(slowBytesPerS);
  return `${ready}
    SLOW: ${rate}/s, less than ${wanted}/s. A node would suffer: take another card, port or reader.`;
}

export function drivesDocument(verdicts: Verdict[]) {
  return {
    drives: verdicts.map(({ device, refusals }) => ({
      path: device.path,
      eligible: refusals.length === 0,
      ...{ model: device.model, serial: device.serial, sizeBytes: device.sizeBytes },
      contents: describeContents(device),
      refusals,
    })),
  };
}

export function drivesText(verdicts: Verdict[]): string {
  const line = ({ device }: Verdict) =>
    [device.path, sizeText(device.sizeBytes), device.model, device.serial].filter(Boolean);
  const good = verdicts.filter(({ refusals }) => refusals.length === 0);
  const bad = verdicts.filter(({ refusals }) => refusals.length > 0);
  const lines = good.map((verdict) => {
    const contents = describeContents(verdict.device);
    return `  ${line(verdict).join('  ')}${contents === '' ? '' : `  (${contents})`}`;
  });
  const refused = bad.map(
    (verdict) => `  ${line(verdict).join('  ')}: ${verdict.refusals[0].reason}`,
  );
  return [
    good.length === 0 ? 'No drive may be erased. Plug in a USB drive or an SD card.' : 'Drives:',
    ...lines,
    ...(refused.length === 0 ? [] : ['Refused:', ...refused]),
  ].join('\n');
}
