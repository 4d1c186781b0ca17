// `kit label`: the command line of this folder.

import { Command } from 'commander';

import { atWorkbench } from '../bench/workbench.ts';
import { createOutput } from '../terminal.ts';
import { makeLabel, type LabelFiles } from './label.ts';

export function commands(): Command[] {
  return [labelCommand()];
}

export function labelCommand(): Command {
  return new Command('label')
    .description('make the labels of kits, to print and stick on: PDF and PNG, with QR codes')
    .argument('<kit...>', 'names of kits in the campaign')
    .option('--out <dir>', 'where to (default: beside the campaign)')
    .action(async function (this: Command, names: string[]) {
      const options = this.optsWithGlobals();
      const output = createOutput(options);
      await atWorkbench({ ...options, kits: names }, async (bench, kits) => {
        const labels: LabelFiles[] = [];
        for (const kit of kits) {
          labels.push(await makeLabel(kit, bench, options.out ?? bench.campaign.dir));
        }
        output.result({ labels }, labels.map(({ pdf, png }) => `${pdf}\n${png}`).join('\n'));
      });
    });
}
