// `npm run speed -- images`: building the `snac` image, side by side with mmdebstrap making nothing
// but its root file system, of the very same packages, already fetched. docs/speed.md explains it.

import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { readImageFolder } from '../../provisioner/image/folder.ts';
import { parseLock } from '../../provisioner/image/lock.ts';
import { fetchArchives } from '../../provisioner/image/package-cache.ts';
import { readStanzas, serveRepository } from '../../provisioner/image/repository.ts';
import { compare, runAll, type Command } from './measure.ts';
import { isMet, timesTable, wantedTable, type Wanted } from './table.ts';
import type { DrivesOptions } from './drives.ts';

const kit = fileURLToPath(new URL('../../provisioner/kit.ts', import.meta.url));

/** @returns whether everything wanted was met */
export async function measureImages({ repeats, tell, print }: DrivesOptions): Promise<boolean> {
  const dir = mkdtempSync(join(tmpdir(), 'kit-speed-images-'));
  try {
    const cache = join(dir, 'cache');
    const build = (...words: string[]): Command => {
      const where = ['--out', join(dir, 'out'), '--cache', cache, '--identity', join(dir, 'key')];
      return [process.execPath, kit, '--json', 'image', 'build', 'snac', ...where, ...words];
    };
    tell('Fetching packages, and building once.');
    await runAll([build()]);
    const lock = join(dir, 'lock');
    cpSync(join(dir, 'out', 'snac-amd64.packages.lock'), lock);
    const plain = await serveRoot(lock, cache);
    const forgetTrees = () => rmSync(join(cache, 'trees'), { recursive: true, force: true });
    const rows = await compare(
      [
        { name: name.plain, run: () => runAll([plain.command(join(dir, 'root.tar'))]) },
        {
          name: name.packages,
          async run() {
            forgetTrees();
            return runAll([build('--lock', lock)]);
          },
        },
        { name: name.mirrors, run: () => runAll([build()]) },
        { name: name.trees, run: () => runAll([build('--lock', lock)]) },
      ],
      Math.ceil(repeats / 2),
      tell,
    );
    await plain.close();
    print(timesTable('snac, amd64', rows));
    const secondsOf = (which: string) => rows.find((row) => row.name === which)!.medianSeconds;
    const got = secondsOf(name.packages) / secondsOf(name.plain);
    const wanted: Wanted[] = [{ what: 'the whole image / mmdebstrap alone', got, atMost: 1.5 }];
    print(wantedTable(wanted));
    return wanted.every(isMet);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const name = {
  plain: 'mmdebstrap alone, a root file system',
  packages: 'kit image build, packages cached',
  mirrors: 'the same, tree cached too, mirrors asked',
  trees: 'the same, tree cached too, of a lock',
};

/** mmdebstrap as people would use it, with the image's list, from a repository as near as ours. */
async function serveRoot(lockFile: string, cacheDir: string) {
  const folder = await readImageFolder('snac', 'amd64');
  const { packages } = parseLock(readFileSync(lockFile, 'utf8'), lockFile);
  const archives = await fetchArchives({
    ...{ cacheDir, packages: packages.filter(({ role }) => role === 'root') },
    locate: async () => new Map(),
    report: () => {},
  });
  const { release } = folder.settings;
  const repository = await serveRepository(
    { release, arch: 'amd64' },
    await readStanzas(archives),
    archives,
  );
  return {
    command(tar: string): Command {
      const include = `--include=${folder.packages.join(',')}`;
      const source = `deb [trusted=yes] ${repository.uri} ${release} main`;
      return ['mmdebstrap', '--variant=minbase', '--format=tar', include, release, tar, source];
    },
    close: () => repository.close(),
  };
}
