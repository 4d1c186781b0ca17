// From a path to a backup that was read through, by each way that a person may name one; and each way
// in which it may not be whole.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { KitError } from '../../../provisioner/errors.ts';
import { openGeneration } from '../../../provisioner/restore/generation.ts';
import { generationName, makeGeneration } from '../../helpers/backup.ts';

const earlier = '20261116T033000Z';

function stick(t: ExecutionContext, below = 'commons-kit'): { top: string; folder: string } {
  const top = mkdtempSync(join(tmpdir(), 'restore-'));
  t.teardown(() => rmSync(top, { recursive: true }));
  return { top, folder: makeGeneration(join(top, below)) };
}

async function refusal(path: string): Promise<KitError> {
  return openGeneration(path).then(
    () => Promise.reject(new Error('it was taken')),
    (error: KitError) => error,
  );
}

for (const below of ['commons-kit', 'var/backups/commons-kit', '.']) {
  test(`the latest of a drive that has them in ${below}`, async (t) => {
    const { top, folder } = stick(t, below);
    makeGeneration(dirname(folder), { name: earlier });
    mkdirSync(join(dirname(folder), '.new-20261124T033000Z'));
    const { name, backup } = await openGeneration(top);
    t.is(name, generationName);
    t.is(backup.kit, 'alice');
    t.is((await openGeneration(folder)).folder, folder);
    t.is((await openGeneration(join(dirname(folder), earlier))).name, earlier);
  });
}

test('archives that kit.json does not name yet are no part of it', async (t) => {
  const { top, folder } = stick(t);
  writeFileSync(join(folder, '2.tar.zst'), 'half');
  t.is((await openGeneration(top)).backup.parts.length, 3);
});

test('no backup there', async (t) => {
  const { top } = stick(t, 'elsewhere');
  for (const path of [top, join(top, 'none'), join(top, 'elsewhere', generationName, 'kit.json')]) {
    const error = await refusal(path);
    t.like(error, { code: 'backup-missing', exitCode: 2 }, path);
    t.truthy(error.expected && error.got && error.hint);
  }
});

const damages: [about: string, damage: (folder: string) => void, code: string][] = [
  ['no kit.json', (folder) => rmSync(join(folder, 'kit.json')), 'backup-older'],
  ['an archive gone', (folder) => rmSync(join(folder, '1.tar.zst')), 'backup-torn'],
  ['no manifest', (folder) => rmSync(join(folder, 'manifest')), 'backup-torn'],
  ['an archive that is longer', (folder) => writeFileSync(join(folder, '0.tar.zst'), 'x', { flag: 'a' }), 'backup-torn'],
  ['an archive that is a folder', (folder) => {
    rmSync(join(folder, '0.tar.zst'));
    mkdirSync(join(folder, '0.tar.zst'));
  }, 'backup-torn'],
  ['another archive of that length', (folder) => writeFileSync(join(folder, '0.tar.zst'), 'the whale'), 'backup-damaged'],
  ['a kit.json without end', (folder) => truncateSync(join(folder, 'kit.json'), 2 << 20), 'backup-torn'],
  ['a kit.json in a circle', (folder) => {
    rmSync(join(folder, 'kit.json'));
    symlinkSync('kit.json', join(folder, 'kit.json'));
  }, 'backup-unreadable'],
];

for (const [about, damage, code] of damages) {
  test(`${about}: ${code}, and what there is besides`, async (t) => {
    const { top, folder } = stick(t);
    damage(folder);
    const error = await refusal(top);
    t.is(error.code, code);
    t.truthy(error.expected && error.got && error.hint);
    const other = makeGeneration(dirname(folder), { name: earlier });
    const { hint } = await refusal(top);
    t.regex(hint!, new RegExp(`--from ${other}$`));
  });
}

test('an archive cut short at any byte is torn', async (t) => {
  const { top, folder } = stick(t);
  for (const name of ['0.tar.zst', '1.tar.zst', 'manifest']) {
    const bytes = readFileSync(join(folder, name));
    for (let length = 0; length < bytes.length; length++) {
      writeFileSync(join(folder, name), bytes.subarray(0, length));
      t.is((await refusal(top)).code, 'backup-torn', `${name}: ${length}`);
    }
    writeFileSync(join(folder, name), bytes);
  }
  t.is((await openGeneration(top)).name, generationName);
});

test('an archive with any byte changed is damaged', async (t) => {
  const { top, folder } = stick(t);
  const path = join(folder, '0.tar.zst');
  const bytes = readFileSync(path);
  for (let at = 0; at < bytes.length; at++) {
    const spoilt = Buffer.from(bytes);
    spoilt[at] ^= 0x10;
    writeFileSync(path, spoilt);
    t.is((await refusal(top)).code, 'backup-damaged', `byte ${at}`);
  }
});
