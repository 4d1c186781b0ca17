// `kit handover`: the command line of this folder.

import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline/promises';

import { Command } from 'commander';

import { atWorkbench, type Workbench } from '../bench/workbench.ts';
import { eraseDurably } from '../campaign/durable.ts';
import type { Kit } from '../campaign/campaign.ts';
import { KitError } from '../errors.ts';
import { createOutput, printable, type Output } from '../terminal.ts';
import { handOverKit, refuseUnready } from './handover.ts';
import { leafletPath, printLeaflet, refuseOtherWord, type PrintedLeaflet } from './print.ts';

interface Options {
  json?: boolean;
  jsonEvents?: boolean;
  printed?: string;
  unproven?: string;
  out?: string;
  wait: string;
}

export function commands(): Command[] {
  return [handoverCommand()];
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

async function handOverAtBench(
  kit: Kit,
  bench: Workbench,
  { options, output }: { options: Options; output: Output },
): Promise<void> {
  const folder = options.out ?? bench.campaign.dir;
  if (await bench.secrets.isErased(kit)) {
    // Cut off within the erasing itself: the rest of it needs nothing of what is gone.
    await eraseDurably(leafletPath(kit, folder));
    await bench.secrets.erase(kit);
    output.result({ kit: kit.name, handed_over: true }, `${kit.name} is its owner’s already`);
    return;
  }
  refuseUnready(kit, bench, options.unproven);
  const random = (sizeBytes: number) => new Uint8Array(randomBytes(sizeBytes));
  const leaflet = await printLeaflet(kit, bench, { folder, random, now: Date.now });
  refuseOtherWord(await readWord(kit, leaflet, options), leaflet.secrets, leaflet.file);
  await handOverKit(kit, { leaflet, reason: options.unproven }, {
    ...bench,
    patienceMs: Number(options.wait) * 1000,
    report: (text) => output.event({ type: 'handover', kit: kit.name, text }),
  });
  const left = `${kit.name} is its owner’s: the bench is shut out, and its copy of the secrets is erased`;
  output.result({ kit: kit.name, handed_over: true }, `${left}.\n${beyondReach}`);
}

/** What no program can take back, said once. */
const beyondReach =
  'Backups of the campaign’s folder, and what this machine’s drive keeps of overwritten blocks, are beyond its reach.';

/** What will be done, before it is: the word on the paper is the consent. */
async function readWord(
  kit: Kit,
  { file, notice }: PrintedLeaflet,
  options: Options,
): Promise<string> {
  if (options.printed !== undefined) return options.printed;
  const text = `${notice === undefined ? '' : `${notice}\n`}${file}
  1. Print it, on paper that the ink does not show through, and look at both pages.
  2. Fold and seal the second page as it says: it is the only copy of the owner’s secrets.
Then ${kit.name} gets a login for ${kit.owner}; the bench’s key is removed from it; ${file} and
everything that the bench keeps secret of ${kit.name} is erased. This cannot be taken back.`;
  const isPerson = process.stdin.isTTY && !options.json && !options.jsonEvents;
  if (!isPerson) throw unprinted(file);
  process.stderr.write(`${printable(text)}\n`);
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const hungUp = new AbortController();
  lines.once('close', () => hungUp.abort());
  try {
    const { signal } = hungUp;
    return await lines.question('The word on the second page: ', { signal }).catch(() => '');
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
