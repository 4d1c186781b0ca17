// `kit restore`: the command line of this folder. Said twice: with the drive at the bench, then with
// the node running from it.

import { Command } from 'commander';

import { atWorkbench, type Workbench } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import { flashAtBench, resultText, sizeOption, untilStopped } from '../drive/command.ts';
import type { FlashOptions } from '../drive/command.ts';
import { waitOption } from '../node/command.ts';
import { createOutput, type Output } from '../terminal.ts';
import { homeText, openHome, restoreNode, type Home } from './restore.ts';

interface RestoreOptions extends FlashOptions {
  from: string;
  drive?: string;
  wait: number;
}

export function commands(): Command[] {
  return [restoreCommand()];
}

export function restoreCommand(): Command {
  return new Command('restore')
    .description('bring a home back from its backup: write a new drive, then put everything back')
    .argument('<kit>', 'name of a kit in the campaign')
    .requiredOption('--from <path>', 'the backup: a mounted backup drive, or a folder of one')
    .option('--drive <path>', 'write this drive; without it, go on with the node that runs from it')
    .option('--image <file>', 'the image (.img, .img.zst, .xz or .gz), its manifest beside it')
    .option('--images <dir>', "where the campaign's image lies (default: built, beside it)")
    .addOption(sizeOption())
    .option('--yes', 'erase without asking')
    .addOption(waitOption())
    .action(async function (this: Command, name: string) {
      const options = this.optsWithGlobals<RestoreOptions>();
      const output = createOutput(options);
      await atWorkbench({ ...options, kits: [name] }, async (bench, [kit]) => {
        const home = await openHome(kit, options.from, bench);
        output.event({ type: 'restore', kit: kit.name, text: homeText(home, Date.now()) });
        if (options.drive === undefined) await atNode(home, bench, { options, output });
        else await atDrive(home, bench, { options: { ...options, drive: options.drive }, output });
      });
    });
}

interface Means<Options> {
  options: Options;
  output: Output;
}

async function atDrive(
  home: Home,
  { campaign, record, secrets }: Workbench,
  { options, output }: Means<RestoreOptions & { drive: string }>,
): Promise<void> {
  const { identity, kept } = home;
  const { sshHostKey } = identity;
  const given = { campaign: secrets.campaign, kit: async () => kept ?? { sshHostKey } };
  const job = { kit: kept === undefined ? byCable(home.kit) : home.kit, drive: options.drive };
  const [written] = await untilStopped((signal) =>
    flashAtBench({ campaign, record, secrets: given }, [job], { options, output, signal }));
  const next = `kit restore ${home.kit.name} --from ${options.from}`;
  const human = `${resultText(written)}\nStart the node from it, on this network, and say: ${next}`;
  output.result({ ...documentOf(home), drive: written }, human);
}

/** What opens the home's Wi-Fi, the bench has erased; the backup brings it back afterwards. */
function byCable(kit: Kit): Kit {
  const { wifi: _, ...network } = kit.network;
  return { ...kit, network };
}

async function atNode(
  home: Home,
  bench: Workbench,
  { options, output }: Means<RestoreOptions>,
): Promise<void> {
  const { kit, owners } = home;
  await restoreNode(home, {
    ...bench,
    now: Date.now,
    patienceMs: options.wait * 1000,
    report: (text) => output.event({ type: 'restore', kit: kit.name, text }),
  });
  const whose = owners
    ? 'The bench is shut out again: its owner’s passphrase opens it.'
    : 'The bench still has its way in.';
  output.result({ ...documentOf(home), restored: true }, `${kit.name} is back. ${whose}`);
}

function documentOf({ kit, generation, owners }: Home) {
  return {
    kit: kit.name,
    generation: generation.name,
    made_at: generation.backup.madeAtS,
    handed_over: owners,
  };
}
