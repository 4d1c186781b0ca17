// `kit retire` as a script says it: what it asks, refuses and prints.

import { execFile } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import test from 'ava';

import { flashKits } from '../../../provisioner/drive/flash.ts';
import { makeBench } from '../../helpers/bench.ts';
import { makeTinyImage } from '../../helpers/tiny-image.ts';

const KIT = fileURLToPath(new URL('../../../provisioner/kit.ts', import.meta.url));

function run(words: string[]): Promise<{ code: number; out: string; errors: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [KIT, ...words], (error, out, errors) =>
      resolve({ code: Number(error?.code ?? 0), out, errors }));
  });
}

test('a kit and its drive: refused without a yes, wiped with one, and again', async (t) => {
  const bench = await makeBench();
  t.teardown(bench.remove);
  const [alice, bob] = bench.campaign.kits;
  const drives = ['alice.img', 'bob.img'].map((name) => join(bench.dir, name));
  await flashKits([{ kit: alice, drive: drives[0] }, { kit: bob, drive: drives[1] }], {
    ...{ campaign: bench.campaign, secrets: bench.secrets, record: bench.record },
    ...{ image: makeTinyImage(join(bench.dir, 'images')).path, fileSizeBytes: 20 << 20 },
    ...{ listBlockDevices: async () => [], confirm: async () => {}, onProgress: () => {} },
  });
  const before = readFileSync(drives[0]);
  const global = ['--campaign', bench.campaign.file, '--identity', bench.identity.file];
  const retire = (...words: string[]) => run([...global, 'retire', 'alice', '--json', ...words]);

  const unasked = await retire('--wipe', drives[0]);
  t.is(unasked.code, 2);
  t.regex(unasked.out + unasked.errors, /confirmation-needed/);
  const another = await retire('--wipe', drives[1], '--yes');
  t.is(another.code, 1);
  t.regex(another.out + another.errors, /drive-of-another-kit/);
  t.true(readFileSync(drives[0]).equals(before));
  t.false(await bench.secrets.isErased(alice), 'refused before anything was changed');

  const done = await retire('--wipe', drives[0], '--yes', '--reason', 'its home moved');
  t.is(done.code, 0, done.errors);
  const document = JSON.parse(done.out);
  t.like(document, { kit: 'alice', retired: true, meters: [], wiped: { drive: drives[0] } });
  t.is(statSync(drives[0]).size, 0);
  t.true(await bench.secrets.isErased(alice));
  t.false(await bench.secrets.isErased(bob));
  t.is((await retire()).code, 0, 'there is nothing left to ask about');
  const given = await run([...global, '--json', 'handover', 'alice']);
  t.is(given.code, 1);
  t.is(JSON.parse(given.out).error.code, 'kit-retired');
});
