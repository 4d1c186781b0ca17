// `kit new` and `kit wifi`: the command line of this folder.

import { Command } from 'commander';

import { atWorkbench } from '../bench/workbench.ts';
import { createOutput } from '../terminal.ts';
import { newCampaign } from './new-campaign.ts';
import { readPassphrase, wifiOf } from './wifi.ts';

export function commands(): Command[] {
  return [newCommand(), wifiCommand()];
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

export function wifiCommand(): Command {
  return new Command('wifi')
    .description("take the passphrase of a kit's Wi-Fi, and keep it encrypted")
    .argument('<kit>', 'name of a kit in the campaign')
    .addHelpText('after', '\nIt is asked for without echo, or read from standard input: one line.')
    .action(async function (this: Command, name: string) {
      const options = this.optsWithGlobals();
      const output = createOutput(options);
      await atWorkbench({ ...options, kits: [name] }, async ({ campaign, secrets }, [kit]) => {
        const { ssid } = wifiOf(kit, campaign);
        const person = { input: process.stdin, output: process.stderr };
        const passphrase = await readPassphrase(ssid, person);
        await secrets.keepWifi(kit, { ssid, passphrase });
        const human = `The passphrase of “${ssid}” is kept for ${name}: flash its drive again if it has one.`;
        output.result({ kit: name, ssid }, human);
      });
    });
}
