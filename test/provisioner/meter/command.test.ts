import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createHash } from 'node:crypto';
import test from 'ava';
import { Command } from 'commander';
import { commands } from '../../../provisioner/meter/command.ts';
import { campaignText } from '../../helpers/bench.ts';

const folder = mkdtempSync(join(tmpdir(), 'kit-meter-'));
test.after.always(() => rmSync(folder, { recursive: true }));

function program(): Command {
  const made = new Command().option('--json').option('--campaign <f>').option('--identity <f>');
  return made.exitOverride().addCommand(commands()[0]!);
}

test('`kit meter build` writes the bytes whose hash it prints', async (t) => {
  const out = join(folder, 'meter.devs');
  const { href } = new URL('../../../provisioner/meter/command.ts', import.meta.url);
  const script = `
    import { Command } from 'commander';
    import { commands } from '${href}';
    await new Command().option('--json').addCommand(commands()[0]).parseAsync();`;
  const build = ['--json', 'meter', 'build', '--out', out];
  const words = ['--input-type=module', '-e', script, '--', ...build];
  const cwd = new URL('../../..', import.meta.url);
  const { stdout } = await promisify(execFile)(process.execPath, words, { cwd });
  const document = JSON.parse(stdout);
  t.is(document.sha256, createHash('sha256').update(readFileSync(out)).digest('hex'));
});

test('before a board was written for the kit, pairing says what there is instead', async (t) => {
  const campaign = join(folder, 'campaign.toml');
  writeFileSync(campaign, campaignText);
  const global = ['--campaign', campaign, '--identity', join(folder, 'volunteer.key')];
  const run = program().parseAsync([...global, 'meter', 'pair', 'alice'], { from: 'user' });
  const error = await t.throwsAsync(run, { code: 'meter-not-flashed' });
  t.regex(String((error as { hint?: string }).hint), /--virtual/);
});
