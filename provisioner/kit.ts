// `kit`: the command line of the bench. This file runs the commands and turns whatever they
// throw into words and an exit status (0 done, 1 failed, 2 usage). What a command does stands in
// its own folder.

import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { loadCommands } from './commands.ts';
import { describeError, KitError, refusalOfSystem } from './errors.ts';
import { printable } from './terminal.ts';

const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string };
const program = new Command('kit')
  .description('Builds home servers for the fediverse: images, drives, nodes, meters.')
  .version(version, '-V, --version', 'print which kit this is')
  .option('--json', 'print one JSON document')
  .option('--json-events', 'print one JSON event a line')
  .option('--campaign <FILE>', 'the campaign', 'campaign.toml')
  .option('--identity <FILE>', "the volunteer's key");

for (const command of await loadCommands(process.argv.slice(2))) program.addCommand(command);
prepare(program);
// Whoever read us is gone (`kit drives | head -1`): what was begun is finished all the same.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Makes a command, and those below it, throw what is wrong, and tell in help what all of them take. */
function prepare(command: Command): void {
  command.configureOutput({ outputError: () => {} }); // report() prints it.
  command.configureHelp({ showGlobalOptions: true });
  command.exitOverride((error) => {
    throw error.exitCode === 0 ? error : misuse(error, command);
  });
  command.commands.forEach(prepare);
}

/** Commander's codes are closed: `commander.unknownOption` becomes `unknown-option`. */
function misuse(error: CommanderError, command: Command): KitError {
  const name = pathOf(command);
  // Asked for nothing, commander has printed the help.
  const bare = error.code === 'commander.help';
  const code = error.code.replace('commander.', '').replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
  return new KitError({
    code: bare ? 'command-missing' : code,
    message: 'The command line is not as it should be',
    expected: `${name} ${command.usage()}`,
    got: bare ? 'no command' : error.message.replace(/^error: /, '').replace(/\s+/g, ' '),
    hint: `See ${name} --help.`,
    exitCode: 2,
  });
}

function pathOf(command: Command): string {
  const { parent } = command;
  return parent === null ? command.name() : `${pathOf(parent)} ${command.name()}`;
}

function report(error: unknown): number {
  // Help is no failure; commander has printed it.
  if (error instanceof CommanderError) return 0;
  const known = error instanceof KitError ? error : refusalOfSystem(error);
  const asked = program.opts<{ json?: boolean; jsonEvents?: boolean }>();
  if (asked.json || asked.jsonEvents) {
    const parts = known?.toJSON() ?? { code: 'internal', message: String(error) };
    process.stdout.write(`${JSON.stringify({ type: 'error', error: parts })}\n`);
  } else process.stderr.write(`${printable(describeError(known ?? error))}\n`);
  return known?.exitCode ?? 1;
}
