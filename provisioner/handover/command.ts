// `kit handover`: the command line of this folder.

import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline/promises';

import { Command } from 'commander';

import { atWorkbench, type Workbench } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import { KitError } from '../errors.ts';
import { untilStopped } from '../drive/command.ts';
import { confirmWipe } from '../drive/confirm.ts';
import { listBlockDevices } from '../drive/lsblk.ts';
import { prepareWipe, wipedText, wipeProgressTo } from '../drive/wipe.ts';
import type { RetiredMeter } from '../meter/retirement.ts';
import { waitOption } from '../node/command.ts';
import { createOutput, printable, type Output } from '../terminal.ts';
import { beyondReach } from './erase.ts';
import { finishErasing, handOverKit, refuseUnready } from './handover.ts';
import { printLeaflet, refuseOtherWord, type PrintedLeaflet } from './print.ts';
import { retireKit, retirementOf, retirementText } from './retire.ts';

interface Options {
  json?: boolean;
  jsonEvents?: boolean;
  printed?: string;
  unproven?: string;
  out?: string;
  wait: number;
}

export function commands(): Command[] {
  return [handoverCommand(), retireCommand()];
}

export function handoverCommand(): Command {
  return new Command('handover')
    .description('give a kit into its owner’s hands: print, withdraw the bench’s access, erase')
    .argument('<kit>', 'name of a kit in the campaign')
    .option('--printed <word>', 'the word on the printed leaflet’s second page')
    .option('--unproven <reason>', 'hand over a kit that was not proven fit; recorded')
    .option('--out <dir>', 'where the leaflet goes until then (default: beside the campaign)')
    .addOption(waitOption())
    .action(async function (this: Command, name: string) {
      const options = this.optsWithGlobals<Options>();
      const output = createOutput(options);
      await atWorkbench({ ...options, kits: [name] }, async (bench, [kit]) => {
        await handOverAtBench(kit, bench, { options, output });
      });
    });
}

export function retireCommand(): Command {
  return new Command('retire')
    .description('end a kit: erase its secrets, take its meter’s key back, wipe its drive')
    .argument('<kit>', 'name of a kit in the campaign')
    .option('--reason <text>', 'why; recorded')
    .option('--wipe <device>', 'its drive, plugged in here: zeros all over it, read back')
    .option('--ledger-url <url>', 'where the bench reaches the ledger, if not as the meter does')
    .option('--yes', 'without asking; a drive that the record does not know is then refused')
    .action(async function (this: Command, name: string) {
      const options = this.optsWithGlobals<RetireOptions>();
      const output = createOutput(options);
      const retire = (signal?: AbortSignal) =>
        atWorkbench({ ...options, kits: [name] }, (bench, [kit]) =>
          retireAtBench(kit, bench, { options, output, signal }));
      // Only a wipe has an end to come to; all else may be stopped anywhere.
      await (options.wipe === undefined ? retire() : untilStopped(retire));
    });
}

interface RetireOptions extends Options {
  reason?: string;
  wipe?: string;
  ledgerUrl?: string;
  yes?: boolean;
}

async function retireAtBench(
  kit: Kit,
  bench: Workbench,
  { options, output, signal }: { options: RetireOptions; output: Output; signal?: AbortSignal },
): Promise<void> {
  const { reason, ledgerUrl, yes = false } = options;
  const { record } = bench;
  const wipe = options.wipe === undefined ? undefined : await prepareWipe(kit, options.wipe, {
    ...{ record, listBlockDevices, signal, onProgress: wipeProgressTo(output) },
  });
  const text = retirementText(kit, retirementOf(kit, bench), { wipes: wipe !== undefined });
  // Nothing is lost by finishing what was agreed to.
  const isBegun = record.latest(kit.name, 'retire') !== undefined;
  const isAgreed = isBegun && (await bench.secrets.isErased(kit));
  if (!yes && !isAgreed) await refuseUnlessYes(kit, text, options);
  const person = { interactive: isPerson(options), input: process.stdin, output: process.stderr };
  if (wipe !== undefined) await confirmWipe(wipe, { yes, ...person });
  const report = (line: string) => output.event({ type: 'retire', kit: kit.name, text: line });
  const deps = { fetch, ledgerUrl, report };
  const { drives, handedOver, retiredMeters, wiped } = await retireKit(kit, bench, {
    ...{ reason, wipe, deps },
  });
  const parts = { meters: retiredMeters, drives, wiped: wiped ?? null };
  const document = { kit: kit.name, retired: true, handed_over: handedOver, ...parts };
  const said = [...(yes ? [text] : []), `${kit.name} is retired.`, ...retiredMeters.map(meterText)];
  if (wiped !== undefined) said.push(wipedText(wiped));
  output.result(document, [...said, beyondReach].join('\n'));
}

function meterText({ meter, entry, vouched }: RetiredMeter): string {
  if (entry === null) return `Meter ${meter} was never enrolled with this ledger.`;
  const own = 'the ledger’s own key, which nobody vouched for';
  const key = vouched ? 'the key that the campaign holds' : own;
  return `Meter ${meter} is retired: entry ${entry}, proven in the log under ${key}.`;
}

async function refuseUnlessYes(kit: Kit, text: string, options: Options): Promise<void> {
  if (isPerson(options)) process.stderr.write(`${printable(text)}\n`);
  const answer = isPerson(options) ? await ask(`Type ${kit.name} to retire it: `) : undefined;
  if (answer?.trim() === kit.name) return;
  throw new KitError({
    code: answer === undefined ? 'confirmation-needed' : 'not-confirmed',
    message: 'Nothing was erased',
    expected: answer === undefined ? 'a terminal, or --yes' : kit.name,
    got: answer === undefined ? text.replace(/\n */g, ' ') : answer.trim() || 'no answer',
    hint: 'What is erased cannot be had back: say it again when you are sure.',
    exitCode: answer === undefined ? 2 : 1,
  });
}

function isPerson({ json, jsonEvents }: Options): boolean {
  return process.stdin.isTTY && !json && !jsonEvents;
}

async function handOverAtBench(
  kit: Kit,
  bench: Workbench,
  { options, output }: { options: Options; output: Output },
): Promise<void> {
  const folder = options.out ?? bench.campaign.dir;
  if (await bench.secrets.isErased(kit)) {
    if (!(await finishErasing(kit, bench))) throw retired(kit);
    const document = { kit: kit.name, handed_over: true };
    return output.result(document, `${kit.name} is its owner’s already`);
  }
  refuseUnready(kit, bench, options.unproven);
  const random = (sizeBytes: number) => new Uint8Array(randomBytes(sizeBytes));
  const leaflet = await printLeaflet(kit, bench, { folder, random, now: Date.now });
  for (const text of leaflet.notices) output.event({ type: 'handover', kit: kit.name, text });
  refuseOtherWord(await readWord(kit, leaflet, options), leaflet.secrets, leaflet.file);
  await handOverKit(kit, { leaflet, reason: options.unproven }, {
    ...bench,
    patienceMs: options.wait * 1000,
    report: (text) => output.event({ type: 'handover', kit: kit.name, text }),
  });
  const left = `${kit.name} is its owner’s: the bench is shut out, and its copy of the secrets is erased`;
  output.result({ kit: kit.name, handed_over: true }, `${left}.\n${beyondReach}`);
}

/** What will be done, before it is: the word on the paper is the consent. */
async function readWord(
  kit: Kit,
  { file }: PrintedLeaflet,
  options: Options,
): Promise<string> {
  if (options.printed !== undefined) return options.printed;
  const text = `${file}
  1. Print it, on paper that the ink does not show through, and look at both pages.
  2. Fold and seal the second page as it says: it is the only copy of the owner’s secrets.
Then ${kit.name} gets a login for ${kit.owner}; the bench’s key is removed from it; ${file} and
everything that the bench keeps secret of ${kit.name} is erased. This cannot be taken back.`;
  if (!isPerson(options)) throw unprinted(file);
  process.stderr.write(`${printable(text)}\n`);
  return ask('The word on the second page: ');
}

/** The answer; empty where nobody gives one (Ctrl-D, Ctrl-C). */
async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const hungUp = new AbortController();
  lines.once('close', () => hungUp.abort());
  try {
    const { signal } = hungUp;
    return await lines.question(question, { signal }).catch(() => '');
  } finally {
    lines.close();
  }
}

function retired(kit: Kit): KitError {
  return new KitError({
    code: 'kit-retired',
    message: `${kit.name} was retired, and is nobody’s to be given`,
    expected: 'a kit that serves',
    got: 'one whose secrets were erased without a hand-over',
    hint: 'Give the home a kit of another name.',
  });
}

function unprinted(file: string): KitError {
  return new KitError({
    code: 'leaflet-unread',
    message: 'Nobody is there to be asked for the word on the printed leaflet',
    expected: 'a terminal, or --printed WORD',
    got: 'neither; nothing was changed',
    hint: `Print ${file}, look at both pages, then add --printed and the word on the second.`,
    exitCode: 2,
  });
}
