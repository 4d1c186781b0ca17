// `kit handover`: the command line of this folder.

import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline/promises';

import { Command } from 'commander';

import { atWorkbench, type Workbench } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import { KitError } from '../errors.ts';
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
  wait: string;
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
    .option('--wait <seconds>', 'for how long to try to reach the node', '30')
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
    .description('end a kit: erase what the bench keeps secret of it, say what is left to do')
    .argument('<kit>', 'name of a kit in the campaign')
    .option('--reason <text>', 'why; recorded')
    .option('--yes', 'without asking')
    .action(async function (this: Command, name: string) {
      const options = this.optsWithGlobals<Options & { reason?: string; yes?: boolean }>();
      const output = createOutput(options);
      await atWorkbench({ ...options, kits: [name] }, async (bench, [kit]) => {
        const text = retirementText(kit, retirementOf(kit, bench));
        if (!options.yes) await refuseUnlessYes(kit, text, options);
        const { meter, drives, handedOver } = await retireKit(kit, bench, options.reason);
        const document = { kit: kit.name, retired: true, handed_over: handedOver, meter, drives };
        output.result(document, `${options.yes ? `${text}\n` : ''}${kit.name} is retired. ${beyondReach}`);
      });
    });
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
    const handedOver = await finishErasing(kit, bench);
    const words = handedOver ? 'is its owner’s already' : 'is retired';
    output.result({ kit: kit.name, handed_over: handedOver }, `${kit.name} ${words}`);
    return;
  }
  refuseUnready(kit, bench, options.unproven);
  const random = (sizeBytes: number) => new Uint8Array(randomBytes(sizeBytes));
  const leaflet = await printLeaflet(kit, bench, { folder, random, now: Date.now });
  for (const text of leaflet.notices) output.event({ type: 'handover', kit: kit.name, text });
  refuseOtherWord(await readWord(kit, leaflet, options), leaflet.secrets, leaflet.file);
  await handOverKit(kit, { leaflet, reason: options.unproven }, {
    ...bench,
    patienceMs: Number(options.wait) * 1000,
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
