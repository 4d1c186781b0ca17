// `kit configure`: the command line of this folder.

import { randomBytes } from 'node:crypto';

import { Command, InvalidArgumentError } from 'commander';

import { openBench } from '../bench/record.ts';
import { findKit, readCampaign } from '../campaign/campaign.ts';
import { identityPath, openIdentity } from '../campaign/identity.ts';
import { openSecrets } from '../campaign/secrets.ts';
import { createOutput } from '../terminal.ts';
import { configureKits, documentOf, humanOf, refuseFailures } from './configure-kits.ts';

export function configureCommand(): Command {
  return new Command('configure')
    .description('bring the nodes of kits to their desired state, over SSH')
    .argument('<kit...>', 'names of kits in the campaign')
    .option('--dry-run', 'show exactly what would run, and change nothing')
    .option('--wait <seconds>', 'go on trying this long to reach a node', seconds, 30)
    .action(async function (this: Command, names: string[]) {
      const options = this.optsWithGlobals();
      const output = createOutput(options);
      const random = (sizeBytes: number) => new Uint8Array(randomBytes(sizeBytes));
      const campaign = await readCampaign(options.campaign ?? 'campaign.toml');
      const kits = names.map((name) => findKit(campaign, name));
      const identityFile = identityPath(options.identity, process.env);
      const identity = await openIdentity(identityFile, { random });
      const secrets = openSecrets(campaign, identity, { random, now: Date.now });
      const record = openBench(campaign.dir, { now: Date.now });
      try {
        const { dryRun } = options;
        const patienceMs = options.wait * 1000;
        const deps = { campaign, secrets, record };
        const results = await configureKits(kits, deps, output, { dryRun, patienceMs });
        refuseFailures(results);
        output.result(documentOf(results), humanOf(results, { dryRun }));
      } finally {
        record.close();
      }
    });
}

function seconds(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a whole number of seconds, at most 9999');
}
