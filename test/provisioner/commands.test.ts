import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { Command } from 'commander';
import { areas, loadCommands } from '../../provisioner/commands.ts';

test('each folder holds the commands that it is looked up by', async (t) => {
  for (const { names, load } of areas) {
    const commands = (await load()).commands();
    t.deepEqual(commands.map((command) => command.name()), names);
  }
});

test('what is meant is loaded, and all of it for help', async (t) => {
  const names = async (...words: string[]) => (await loadCommands(words)).map((c) => c.name());
  t.deepEqual(await names('--json', 'flash', 'alice'), ['drives', 'flash']);
  t.deepEqual(await names('--campaign', 'new', 'flash'), ['new', 'wifi', 'drives', 'flash']);
  const all = areas.flatMap((area) => area.names);
  t.deepEqual(await names(), all);
  t.deepEqual(await names('nosuch'), all);
  t.deepEqual(await names('help', 'flash'), all);
});

const top = fileURLToPath(new URL('../../', import.meta.url));

/** `kit …` as a page says it: in backquotes, or at the beginning of a line of a block. */
function saidByPage(text: string): string[] {
  const whole = text.replace(/\\\n\s*/g, ' ');
  const spans = [...whole.matchAll(/`(?:npx )?kit ([^`]+)`/g)];
  const fenced = [...whole.matchAll(/^```.*\n([^]*?)^```$/gm)].map(([, block]) => block);
  const indented = [...whole.matchAll(/^ {4}(.*)$/gm)].map(([, line]) => line);
  const lines = [...fenced, ...indented].join('\n').matchAll(/^(?:npx )?kit ([a-z][^\n]*)$/gm);
  return [...spans, ...lines].map(([, words]) => words);
}

/** The same as an error's hint says it: in backquotes, or where its first word is a command. */
function saidBySource(text: string): string[] {
  const code = text.replace(/^\s*(\/\/|\/?\*).*$/gm, '');
  const spans = [...code.matchAll(/`kit ([a-z][^`\\]*)\\?`/g)];
  const bare = [...code.matchAll(/\bkit ([a-z]+\b[^`'"\n]*)/g)];
  const names = areas.flatMap((area) => area.names);
  const meant = bare.filter(([, words]) => names.includes(words.split(' ', 1)[0]));
  return [...spans, ...meant].map(([, words]) => words);
}

/** What of these words is no command, or no option of it; undefined: all of it is there. */
function unknownIn(words: string, program: Command): string | undefined {
  // A comment, a pipe, the rest of a sentence are not the command's.
  const [said] = words.split(/(?:^|\s)[#|<;&]|[,.;:)](?:\s|$)/, 1);
  const parts = said.split(/\s+/).filter((part) => part !== '');
  let command = program;
  for (const part of parts) {
    if (command.commands.length === 0 || !/^[a-z]+$/.test(part)) break;
    const next = command.commands.find((candidate) => candidate.name() === part);
    if (next === undefined) return part;
    command = next;
  }
  const known = [...program.options, ...command.options].map(({ long }) => long);
  const options = parts.flatMap((part) => /^\[?(--[a-z][a-z-]*)/.exec(part)?.[1] ?? []);
  return options.find((option) => option !== '--help' && !known.includes(option));
}

test('each command that a page or a hint tells a person to say is there, with its options', async (t) => {
  const program = new Command('kit');
  const global = ['--version', '--json', '--json-events', '--campaign <F>', '--identity <F>'];
  for (const name of global) program.option(name);
  for (const command of await loadCommands([])) program.addCommand(command);
  const filesOf = (pattern: string): string[] =>
    globSync(pattern, { cwd: top, exclude: (name) => String(name).includes('node_modules') });
  const pages = filesOf('{*.md,{docs,hardware}/**/*.md}').map((file) => ({ file, read: saidByPage }));
  const sources = filesOf('provisioner/**/*.{ts,toml}').map((file) => ({ file, read: saidBySource }));
  const said = [...pages, ...sources].flatMap(({ file, read }) =>
    read(readFileSync(join(top, file), 'utf8')).map((words) => ({ file, words })));
  t.true(said.length > 200, `${said.length} commands were found`);
  const wrong = said.flatMap(({ file, words }) => {
    const unknown = unknownIn(words, program);
    return unknown === undefined ? [] : [`${file}: kit ${words}: there is no ${unknown}`];
  });
  t.deepEqual(wrong, []);
});
