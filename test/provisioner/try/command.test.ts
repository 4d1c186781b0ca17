import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Command } from 'commander';
import { KitError } from '../../../provisioner/errors.ts';
import { cleanCommand } from '../../../provisioner/try/command.ts';
import { openTrialFolder } from '../../../provisioner/try/folder.ts';

const scratch = mkdtempSync(join(tmpdir(), 'kit-clean-'));
test.before(() => {
  process.env['XDG_CACHE_HOME'] = join(scratch, 'cache');
});
test.after.always(() => rmSync(scratch, { recursive: true }));

async function clean(...args: string[]): Promise<void> {
  const program = new Command('kit').option('--json').addCommand(cleanCommand());
  await program.parseAsync(['clean', ...args], { from: 'user' });
}

test.serial('a journey’s folder goes, also cut off at once, or named by a link', async (t) => {
  const dir = join(scratch, 'trial');
  (await openTrialFolder(dir)).release();
  const elsewhere = join(scratch, 'elsewhere');
  mkdirSync(join(elsewhere, 'dead'), { recursive: true });
  symlinkSync(join(elsewhere, 'gone'), join(elsewhere, 'dead', 'end'));
  symlinkSync(elsewhere, join(dir, 'peer', 'run'));
  await clean('--dir', dir);
  t.true(existsSync(dir), 'it was only shown');
  const link = join(scratch, 'link');
  symlinkSync(dir, link);
  await clean('--dir', link, '--yes');
  t.false(existsSync(dir));
  t.true(existsSync(elsewhere), 'links within it lead nowhere');
});

test.serial('nobody else’s folder goes, whatever its files are called', async (t) => {
  const dir = join(scratch, 'cluster');
  const cache = join(scratch, 'cache', 'commons-kit');
  for (const folder of [dir, cache]) mkdirSync(folder, { recursive: true });
  writeFileSync(join(dir, 'state.json'), '{}');
  const error = await t.throwsAsync(clean('--dir', dir, '--yes'), { instanceOf: KitError });
  t.is(error.code, 'not-a-trial');
  t.is(error.exitCode, 2);
  t.true(existsSync(join(dir, 'state.json')));
  t.true(existsSync(cache), 'refused as a whole');
});
