import test from 'ava';
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
