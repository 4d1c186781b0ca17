// `kit new` and `kit wifi`: the command line of this folder.

import { Command, Option } from 'commander';

import { atWorkbench } from '../bench/workbench.ts';
import { createOutput } from '../terminal.ts';
import { newCampaign } from './new-campaign.ts';
import { readPassphrase, wifiOf, withNetwork, withoutNetwork } from './wifi.ts';

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
    .option('--contact <words>', 'whom owners call, printed on their leaflets')
    .option('--kit <kit...>', 'NAME:DOMAIN or NAME:DOMAIN:OWNER for each kit')
    .action(async function (this: Command) {
      const { campaign: file = 'campaign.toml', ...options } = this.optsWithGlobals();
      const output = createOutput(options);
      const alone = !process.stdin.isTTY || options.json || options.jsonEvents;
      const person = alone ? undefined : { input: process.stdin, output: process.stderr };
      const { name, ledger, image, arch, timezone, contact, kit = [] } = options;
      const answers = { name, ledger, image, arch, timezone, contact, kits: kit as string[] };
      const { kits } = await newCampaign(file, answers, person);
      output.result({ campaign: file, kits }, `${file} is written: ${kits.join(', ')}.`);
    });
}

export function wifiCommand(): Command {
  return new Command('wifi')
    .description("take the passphrase of a kit's Wi-Fi, and keep it encrypted")
    .argument('<kit>', 'name of a kit in the campaign')
    .option('--also <ssid>', 'of another network, which the meter joins where that one stays away')
    .addOption(new Option('--forget <ssid>', 'keep that other network no more').conflicts('also'))
    .addHelpText('after', '\nIt is asked for without echo, or read from standard input: one line.')
    .action(async function (this: Command, name: string) {
      const options = this.optsWithGlobals();
      const output = createOutput(options);
      const { also, forget } = options as { also?: string; forget?: string };
      await atWorkbench({ ...options, kits: [name] }, async ({ campaign, secrets }, [kit]) => {
        const { ssid: own } = wifiOf(kit, campaign);
        const others = (await secrets.kit(kit)).moreWifi ?? [];
        if (forget !== undefined) {
          await secrets.keepMoreWifi(kit, withoutNetwork(others, forget));
          const human = `“${forget}” is kept no more for ${name}: pair its meter again if it knows it.`;
          return output.result({ kit: name, ssid: forget }, human);
        }
        const ssid = also ?? own;
        const person = { input: process.stdin, output: process.stderr };
        const passphrase = await readPassphrase(ssid, person);
        if (also === undefined) await secrets.keepWifi(kit, { ssid, passphrase });
        else await secrets.keepMoreWifi(kit, withNetwork(own, others, { ssid, passphrase }));
        const next = also === undefined
          ? 'flash its drive again if it has one'
          : 'pair its meter again if it is paired';
        output.result({ kit: name, ssid }, `The passphrase of “${ssid}” is kept for ${name}: ${next}.`);
      });
    });
}
