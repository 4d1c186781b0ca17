// `kit price`: the command line of this folder.

import { Command, InvalidArgumentError } from 'commander';
import { atWorkbench, type WorkbenchOptions } from '../bench/workbench.ts';
import { createOutput, type OutputOptions } from '../terminal.ts';
import { parseMinorPerKWh, publishPrice } from './price.ts';

interface PriceFlags extends OutputOptions, WorkbenchOptions {
  from: string;
  zone?: string;
  ledger?: string;
  first?: boolean;
}

export function commands(): Command[] {
  return [priceCommand()];
}

function priceCommand(): Command {
  return new Command('price')
    .description("publish what a kilowatt-hour costs, signed, in the ledger's log")
    .argument('<price>', 'minor units (cents, yen, fils) for a kWh at the wall, such as 31.45')
    .argument('<currency>', 'ISO 4217, such as EUR')
    .requiredOption('--from <date>', 'the first day that it holds, such as 2027-03-01', day)
    .option('--zone <zone>', "whose days and months they are (default: the campaign's timezone)")
    .option('--ledger <url>', "where the bench reaches the ledger (default: the campaign's)")
    .option('--first', "the log's first price: it names the currency for life")
    .addHelpText('after', '\nA closed month stays as it was billed: the date must lie in an open one.')
    .action(async function (this: Command, price: string, currency: string) {
      const options = this.optsWithGlobals<PriceFlags>();
      const output = createOutput(options);
      const milliMinorPerKWh = parseMinorPerKWh(price);
      await atWorkbench(options, async ({ campaign, identity }) => {
        const terms = {
          ...{ currency, milliMinorPerKWh, validFrom: options.from },
          zone: options.zone ?? campaign.timezone,
        };
        const set = await publishPrice(
          {
            ...{ url: options.ledger ?? campaign.ledger, origin: campaign.ledgerOrigin, terms },
            isFirst: options.first ?? false,
          },
          identity,
          { fetch },
        );
        const human = `Entry ${set.index}: ${set.per_kwh} ${set.currency} for a kWh at the wall from `
          + `${set.valid_from} in ${set.zone}, which is ${set.starts}.`;
        output.result(set, human);
      });
    });
}

function day(text: string): string {
  const atMs = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(text) : NaN;
  // Of 30 February, Date makes a day in March.
  if (!Number.isNaN(atMs) && new Date(atMs).toISOString().startsWith(text)) return text;
  throw new InvalidArgumentError('expected a day such as 2027-03-01');
}
