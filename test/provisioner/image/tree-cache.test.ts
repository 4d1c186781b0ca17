// The cache of trees: what was kept comes back, and nothing that is torn or was changed does.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Tree } from '../../../provisioner/image/tree.ts';
import { keepTree, takeTree } from '../../../provisioner/image/tree-cache.ts';
import { sha256 } from '../../helpers/tiny-image.ts';

const key = (digit: string) => digit.repeat(64);

function scene(t: ExecutionContext) {
  const dir = mkdtempSync(join(tmpdir(), 'kit-trees-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const cacheDir = join(dir, 'cache');
  const make = (text: string): Tree => {
    const made = mkdtempSync(join(dir, 'made-'));
    const [tar, packages] = ['tree.tar', 'packages'].map((name) => join(made, name));
    writeFileSync(tar, text);
    writeFileSync(packages, `Package: ${text}\n`);
    return { tar, packages, sha256: sha256(Buffer.from(text)) };
  };
  const workDir = join(dir, 'work');
  const take = (which: string) => takeTree(cacheDir, which, workDir);
  const kept = (which: string, name: string) => join(cacheDir, 'trees', which, name);
  return { cacheDir, make, take, kept, workDir };
}

test('what is kept comes back, and outlives the cache', async (t) => {
  const { cacheDir, make, take } = scene(t);
  t.is(await take(key('a')), undefined, 'there is no cache yet');
  const tree = make('one');
  await keepTree(cacheDir, key('a'), tree);
  t.is(await take(key('b')), undefined);
  const taken = (await take(key('a')))!;
  rmSync(cacheDir, { recursive: true });
  t.is(readFileSync(taken.tar, 'utf8'), 'one');
  t.is(readFileSync(taken.packages, 'utf8'), 'Package: one\n');
  t.is(taken.sha256, tree.sha256);
});

const spoilings: [about: string, spoil: (kept: (name: string) => string) => void][] = [
  ['an archive that a power cut left empty', (kept) => truncateSync(kept('tree.tar'), 0)],
  ['an archive that was changed', (kept) => writeFileSync(kept('tree.tar'), 'two')],
  ['packages that are not all there', (kept) => truncateSync(kept('packages'), 4)],
  ['sums that a power cut left empty', (kept) => truncateSync(kept('sums'), 0)],
];
for (const [about, spoil] of spoilings) {
  test(`${about}: the tree is made anew, and kept again`, async (t) => {
    const { cacheDir, make, take, kept, workDir } = scene(t);
    await keepTree(cacheDir, key('a'), make('one'));
    spoil((name) => kept(key('a'), name));
    t.is(await take(key('a')), undefined);
    t.false(existsSync(workDir), 'nothing of it is left in the build’s folder');
    await keepTree(cacheDir, key('a'), make('one'));
    t.is(readFileSync((await take(key('a')))!.tar, 'utf8'), 'one');
  });
}

test('a second build’s tree gives way to the first’s; four trees are kept', async (t) => {
  const { cacheDir, make, take } = scene(t);
  for (const text of ['one', 'one']) await keepTree(cacheDir, key('a'), make(text));
  t.is(readFileSync((await take(key('a')))!.tar, 'utf8'), 'one');
  for (const digit of ['b', 'c', 'd', 'e']) await keepTree(cacheDir, key(digit), make(digit));
  t.is(readdirSync(join(cacheDir, 'trees')).length, 4);
});
