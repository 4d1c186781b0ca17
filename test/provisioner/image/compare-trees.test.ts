import { chmodSync, cpSync, lutimesSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { firstDifference } from '../../../provisioner/image/compare-trees.ts';

test('the first path at which two trees differ is named, with what differs', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'kit-trees-'));
  const [wanted, found] = [join(dir, 'wanted'), join(dir, 'found')];
  try {
    mkdirSync(join(wanted, 'a/b'), { recursive: true });
    writeFileSync(join(wanted, 'a/b/file'), 'one');
    writeFileSync(join(wanted, 'last'), 'two');
    symlinkSync('last', join(wanted, 'link'));
    lutimesSync(join(wanted, 'link'), 5, 5);
    const spoils: [() => void, Awaited<ReturnType<typeof firstDifference>>][] = [
      [() => {}, undefined],
      [() => writeFileSync(join(found, 'a/b/file'), 'One'), { path: 'a/b/file', what: 'content' }],
      [() => chmodSync(join(found, 'last'), 0o600), { path: 'last', what: 'mode' }],
      [() => unlinkSync(join(found, 'last')), { path: 'last', what: 'missing' }],
      [() => writeFileSync(join(found, 'a/more'), ''), { path: 'a/more', what: 'added' }],
      [() => utimesSync(join(found, 'last'), 9, 9), { path: 'last', what: 'time' }],
      [
        () => {
          unlinkSync(join(found, 'link'));
          symlinkSync('a', join(found, 'link'));
        },
        { path: 'link', what: 'target' },
      ],
      [
        () => {
          unlinkSync(join(found, 'last'));
          mkdirSync(join(found, 'last'));
        },
        { path: 'last', what: 'kind' },
      ],
    ];
    for (const [spoil, difference] of spoils) {
      rmSync(found, { recursive: true, force: true });
      cpSync(wanted, found, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
      spoil();
      t.deepEqual(await firstDifference(wanted, found), difference);
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
});
