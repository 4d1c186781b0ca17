// `kit new`: the command line of this folder.

import { Command } from 'commander';

import { createOutput } from '../terminal.ts';
import { newCampaign } from './new-campaign.ts';

export function commands(): Command[] {
  return [newCommand()];
}

export function newCommand(): Command {
  return new Command('new')
    .description('ask a few questions and write a commented campaign.toml')
    .option('--name <name>', 'the community')
    .option('--ledger <url>', 'where the meters report')
    .option('--image <name>', 'the kit image (default: snac)')
    .option('--arch <arch>', 'amd64 or arm64 (default: amd64)')
    .option('--timezone <zone>', 'where the homes are (default: as here)')
    .option('--kit <kit...>', 'NAME:DOMAIN or NAME:DOMAIN:OWNER for each kit')
    .action(async function (this: Command) {
      const { campaign: file = 'campaign.toml', ...options } = this.optsWithGlobals();
      const output = createOutput(options);
      const alone = !process.stdin.isTTY || options.json || options.jsonEvents;
      const person = alone ? undefined : { input: process.stdin, output: process.stderr };
      const { name, ledger, image, arch, timezone, kit = [] } = options;
      const answers = { name, ledger, image, arch, timezone, kits: kit as string[] };
      const { kits } = await newCampaign(file, answers, person);
      output.result({ campaign: file, kits }, `${file} is written: ${kits.join(', ')}.`);
    });
}
