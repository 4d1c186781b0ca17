// The cache of archives, filled by apt's own helper from a small repository of packages made here.

import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { KitError } from '../../../provisioner/errors.ts';
import {
  exportArchives,
  fetchArchives,
  importArchives,
} from '../../../provisioner/image/package-cache.ts';
import { readStanzas, serveRepository } from '../../../provisioner/image/repository.ts';
import { parseStanzas, type Package } from '../../../provisioner/image/stanza.ts';
import { type DebRepository, serveDebRepository } from '../../helpers/deb-repository.ts';

interface Scene {
  dir: string;
  cacheDir: string;
  repository: DebRepository;
  packages: Package[];
  /** How often the mirror was asked. */
  asked: number;
  fetch(): ReturnType<typeof fetchArchives>;
}

const refused = (code: string) => ({ instanceOf: KitError, code });

const withMirror = test.macro(async (t, body: (t: ExecutionContext, s: Scene) => Promise<void>) => {
  const dir = mkdtempSync(join(tmpdir(), 'kit-packages-'));
  mkdirSync(join(dir, 'mirror'));
  const repository = await serveDebRepository(join(dir, 'mirror'), {
    ...{ suite: 'trixie', component: 'main', arches: ['amd64'] },
    packages: [
      { name: 'kit-one', version: '1:1.0+a', fields: { Essential: 'yes' }, files: { 'etc/one': '1' } },
      { name: 'kit-two', version: '2', fields: { Essential: 'yes', Priority: 'required' } },
    ],
  });
  const pool = [...repository.served].filter(([path]) => path.endsWith('.deb'));
  const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  const uris = new Map(
    pool.map(([path, bytes]) => [sha256(bytes), `${repository.uri}/${path.replaceAll(':', '%3a')}`]),
  );
  const index = repository.served.get('dists/trixie/main/binary-amd64/Packages') as Buffer;
  const scene: Scene = {
    ...{ dir, repository, cacheDir: join(dir, 'cache'), asked: 0 },
    packages: parseStanzas(index.toString()),
    fetch: () =>
      fetchArchives({
        ...{ cacheDir: scene.cacheDir, packages: scene.packages, report: () => {} },
        async locate() {
          scene.asked += 1;
          return uris;
        },
      }),
  };
  try {
    await body(t, scene);
  } finally {
    await repository.close();
    rmSync(dir, { recursive: true, force: true });
  }
});

test('what is missing is fetched once, and then no mirror is asked', withMirror, async (t, s) => {
  const archives = await s.fetch();
  t.deepEqual([...archives.keys()].sort(), s.packages.map(({ sha256 }) => sha256).sort());
  await s.fetch();
  t.is(s.asked, 1);
  t.true(readdirSync(join(s.cacheDir, 'packages')).includes('kit-one_1%3a1.0+a_all.deb'));
});

test('an archive that was changed in the cache is fetched anew', withMirror, async (t, s) => {
  const archives = await s.fetch();
  const [path] = archives.values();
  writeFileSync(path, 'something else');
  await s.fetch();
  t.is(s.asked, 2);
  t.not(readFileSync(path).toString(), 'something else');
});

test('what no mirror has any more is told by name', withMirror, async (t, s) => {
  s.packages.push({ name: 'kit-gone', version: '3', arch: 'all', sha256: '0'.repeat(64) });
  const error = await t.throwsAsync(s.fetch(), refused('package-gone'));
  t.regex((error as KitError).expected ?? '', /kit-gone 3/);
});

test('a mirror that gives other bytes is not believed', withMirror, async (t, s) => {
  for (const path of s.repository.served.keys()) {
    if (path.endsWith('.deb')) s.repository.served.set(path, Buffer.from('not that'));
  }
  await t.throwsAsync(s.fetch(), { instanceOf: KitError });
  t.deepEqual(readdirSync(join(s.cacheDir, 'packages')), []);
});

test('an export fills another bench’s cache', withMirror, async (t, s) => {
  const file = join(s.dir, 'packages.tar');
  await exportArchives(await s.fetch(), file);
  s.cacheDir = join(s.dir, 'other');
  t.is(await importArchives(s.cacheDir, file), 2);
  await s.fetch();
  t.is(s.asked, 1);
});

test('what is served is what was locked; essential is what Debian says', withMirror, async (t, s) => {
  const archives = await s.fetch();
  const stanzas = await readStanzas(archives);
  t.deepEqual(parseStanzas(stanzas).map(({ sha256 }) => sha256), s.packages.map((p) => p.sha256));
  t.regex(stanzas, /Package: kit-two\n(?:.+\n)*Essential: yes/);
  t.notRegex(stanzas, /Package: kit-one\n(?:.+\n)*Essential: yes/);
  const repository = await serveRepository({ release: 'trixie', arch: 'amd64' }, stanzas, archives);
  try {
    const get = async (path: string) => {
      const response = await fetch(`${repository.uri}${path}`);
      return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) };
    };
    const release = (await get('dists/trixie/Release')).bytes.toString();
    const index = (await get('dists/trixie/main/binary-amd64/Packages')).bytes;
    t.true(release.includes(createHash('sha256').update(index).digest('hex')));
    const names = [...index.toString().matchAll(/^Filename: (\S+)$/gm)].map(([, name]) => name);
    t.is(names.length, 2);
    for (const name of names) {
      const { bytes } = await get(name.replaceAll('%', '%25'));
      t.true(archives.has(createHash('sha256').update(bytes).digest('hex')), name);
    }
    t.is((await get('pool/../../etc/passwd')).status, 404);
  } finally {
    await repository.close();
  }
});

test('a file that holds no packages is told as such, whatever it is', withMirror, async (t, s) => {
  const file = join(s.dir, 'letter');
  writeFileSync(file, 'Dear volunteers');
  for (const source of [file, join(s.dir, 'absent')]) {
    await t.throwsAsync(importArchives(s.cacheDir, source), refused('packages-missing'));
  }
  t.deepEqual(readdirSync(join(s.cacheDir, 'packages')), []);
});
