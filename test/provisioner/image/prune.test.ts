// Which archives go: those that no lock names, of whichever version, and only when told to.

import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { KitError } from '../../../provisioner/errors.ts';
import { formatLock } from '../../../provisioner/image/lock.ts';
import { prunePackages } from '../../../provisioner/image/prune.ts';

const archives = ['kit-one_1%3a1.0_all.deb', 'kit-one_1%3a2.0_all.deb', 'kit-two_3_amd64.deb'];

/** A cache of those archives, and what asks for none of them yet. */
function scene(t: ExecutionContext) {
  const dir = mkdtempSync(join(tmpdir(), 'kit-prune-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const [imagesDir, outDir, cacheDir] = ['images', 'built', 'cache'].map((name) => join(dir, name));
  const packages = join(cacheDir, 'packages');
  mkdirSync(packages, { recursive: true });
  for (const archive of archives) writeFileSync(join(packages, archive), '12345');
  /** @param version of kit-one */
  const lock = (file: string, version: string): string => {
    const item = { name: 'kit-one', version, arch: 'all', sha256: '0'.repeat(64) };
    const path = join(dir, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, formatLock({ epochS: 1, packages: [{ role: 'root', ...item }] }));
    return path;
  };
  const left = () => readdirSync(packages).sort();
  return { options: { imagesDir, outDir, cacheDir }, lock, left };
}

test('what no lock names is told, and goes only when told to', async (t) => {
  const { options, lock, left } = scene(t);
  const file = lock('images/one/amd64.packages.lock', '1:2.0');
  const told = await prunePackages(options);
  t.deepEqual(told, {
    ...{ locks: [file], keptArchives: 1, removed: false },
    superseded: [archives[0], archives[2]].map((archive) => ({ archive, sizeBytes: 5 })),
  });
  t.deepEqual(left(), archives);
  t.deepEqual(await prunePackages({ ...options, remove: true }), { ...told, removed: true });
  t.deepEqual(left(), [archives[1]]);
  t.deepEqual((await prunePackages({ ...options, remove: true })).superseded, []);
});

test('what a built image was made of stays, and what a lock of one’s own names', async (t) => {
  const { options, lock, left } = scene(t);
  lock('built/one-amd64.packages.lock', '1:1.0');
  const keep = [lock('old.lock', '1:2.0')];
  const { superseded } = await prunePackages({ ...options, keep, remove: true });
  t.deepEqual(superseded.map(({ archive }) => archive), [archives[2]]);
  t.deepEqual(left(), archives.slice(0, 2));
});

test('without a lock, with a missing or a torn one: nothing goes', async (t) => {
  const { options, lock, left } = scene(t);
  const refused = (code: string) => ({ instanceOf: KitError, code });
  const remove = true;
  await t.throwsAsync(prunePackages({ ...options, remove }), refused('lock-missing'));
  lock('images/one/amd64.packages.lock', '1:2.0');
  const keep = [join(options.outDir, 'no.lock')];
  await t.throwsAsync(prunePackages({ ...options, keep, remove }), refused('lock-missing'));
  writeFileSync(join(options.imagesDir, 'one/arm64.packages.lock'), 'epoch 1\nroot kit-t');
  await t.throwsAsync(prunePackages({ ...options, remove }), refused('lock-malformed'));
  t.deepEqual(left(), archives);
});

test('a bench that has cached nothing has nothing to prune', async (t) => {
  const { options, lock } = scene(t);
  lock('images/one/amd64.packages.lock', '1:2.0');
  const cacheDir = join(options.cacheDir, 'nowhere');
  t.like(await prunePackages({ ...options, cacheDir }), { keptArchives: 0, superseded: [] });
});
