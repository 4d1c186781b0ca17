import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { buildFirmware } from '../../../provisioner/meter/build.ts';

const program = fileURLToPath(new URL('../virtual/cases/program', import.meta.url));

test('the same sources give the same bytes wherever they lie, once', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'build-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const elsewhere = join(folder, 'elsewhere', 'deep');
  await cp(program, elsewhere, { recursive: true });
  const one = await buildFirmware({ folder: program, cacheDir: join(folder, 'one') });
  const two = await buildFirmware({ folder: elsewhere, cacheDir: join(folder, 'two') });
  t.deepEqual(two, one);
  t.deepEqual(Buffer.from(one.hash), createHash('sha256').update(one.bytecode).digest());
  const again = await buildFirmware({ folder: elsewhere, cacheDir: join(folder, 'one') });
  t.deepEqual(again, { ...one, kept: true });
  // Nothing is left where the sources are.
  t.deepEqual((await readdir(elsewhere)).sort(), ['devsconfig.json', 'main.ts']);
});

test('a program that does not compile is refused with the compiler’s words', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'build-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'devsconfig.json'), '{}');
  await writeFile(join(folder, 'main.ts'), 'const wrong: number = "text"\n');
  const cacheDir = join(folder, 'cache');
  const error = await t.throwsAsync(buildFirmware({ folder, cacheDir }), {
    code: 'firmware-invalid',
  });
  t.regex(String((error as { got?: string }).got), /not assignable/);
  t.false((await readdir(folder)).includes('cache'));
});

test('a folder without a program is refused', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'build-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'empty'));
  for (const name of ['empty', 'absent']) {
    await t.throwsAsync(buildFirmware({ folder: join(folder, name), cacheDir: folder }), {
      code: 'firmware-missing',
    });
  }
});
