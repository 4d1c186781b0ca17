// `kit configure`: the command line of this folder.

import { Command, InvalidArgumentError, Option } from 'commander';

import { atWorkbench } from '../bench/workbench.ts';
import { createOutput } from '../terminal.ts';
import { configureKits, documentOf, humanOf } from './configure-kits.ts';

export function commands(): Command[] {
  return [configureCommand()];
}

/** Of every command that works on a node: one that was just plugged in is still booting. */
export function waitOption(): Option {
  return new Option('--wait <seconds>', 'go on trying this long to reach the node')
    .argParser(seconds)
    .default(30);
}

export function configureCommand(): Command {
  return new Command('configure')
    .description('bring the nodes of kits to their desired state, over SSH')
    .argument('<kit...>', 'names of kits in the campaign')
    .option('--dry-run', 'show exactly what would run, and change nothing')
    .addOption(waitOption())
    .action(async function (this: Command, names: string[]) {
      const options = this.optsWithGlobals();
      const output = createOutput(options);
      const { dryRun } = options;
      await atWorkbench({ ...options, kits: names }, async (bench, kits) => {
        const patienceMs = options.wait * 1000;
        const results = await configureKits(kits, bench, output, { dryRun, patienceMs });
        if (results.length === 1 && results[0].error !== undefined) throw results[0].error;
        // Of several, those that failed stand in the document beside those that did not.
        if (results.some(({ error }) => error !== undefined)) process.exitCode = 1;
        output.result(documentOf(results), humanOf(results, { dryRun }));
      });
    });
}

function seconds(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a whole number of seconds, at most 9999');
}
