// `kit`: the command line of the bench. This file gathers the commands and turns whatever they
// throw into words and an exit status (0 done, 1 failed, 2 usage). What a command does stands in
// its own folder.

import { Command, CommanderError } from 'commander';
import { describeError, KitError } from './errors.ts';

const program = new Command('kit')
  .description('Builds home servers for the fediverse: images, drives, nodes, meters.')
  .option('--json', 'print one JSON document')
  .option('--json-events', 'print one JSON event a line')
  .option('--campaign <FILE>', 'the campaign', 'campaign.toml')
  .option('--identity <FILE>', "the volunteer's key")
  .showHelpAfterError('(see kit --help)')
  .exitOverride();

for (const command of await commands()) program.addCommand(inherit(command));

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** The commands in the order in which a kit is made. */
async function commands(): Promise<Command[]> {
  const areas = await Promise.all([
    import('./campaign/command.ts'),
    import('./image/command.ts'),
    import('./drive/command.ts'),
    import('./node/command.ts'),
    import('./meter/command.ts'),
    import('./check/command.ts'),
    import('./label/command.ts'),
    import('./make/command.ts'),
    import('./try/command.ts'),
  ]);
  return areas.flatMap((area) => area.commands());
}

/** Makes a command, and those below it, fail by exception like the program. */
function inherit(command: Command): Command {
  command.exitOverride();
  command.commands.forEach(inherit);
  return command;
}

function report(error: unknown): number {
  // Commander has printed its own words; help and version are no failure.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const asked = program.opts<{ json?: boolean; jsonEvents?: boolean }>();
  if (asked.json || asked.jsonEvents) {
    const parts =
      error instanceof KitError ? error.toJSON() : { code: 'internal', message: String(error) };
    process.stdout.write(`${JSON.stringify({ type: 'error', error: parts })}\n`);
  } else process.stderr.write(`${describeError(error)}\n`);
  return error instanceof KitError ? error.exitCode : 1;
}
