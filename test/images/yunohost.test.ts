// The image's data against a stand-in of YunoHost's repository: where packages come from, whose
// signature counts, what a missing key says. Building and booting it is `npm run test:images`.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { KitError } from '../../provisioner/errors.ts';
import { openApt } from '../../provisioner/image/apt.ts';
import { nodeSourceFiles } from '../../provisioner/image/apt-sources.ts';
import { readImageFolder } from '../../provisioner/image/folder.ts';
import { readOverlay } from '../../provisioner/image/overlay.ts';
import { resolveImage } from '../../provisioner/image/resolve.ts';
import {
  type DebRepository,
  serveDebRepository,
  type StandInPackage,
} from '../helpers/deb-repository.ts';
import { standInYunohost, yunohostPackages } from '../helpers/yunohost-stand-in.ts';

const refused = (code: string) => ({ instanceOf: KitError, code });

async function inFolder(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'kit-yunohost-'));
  try {
    await work(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** The stand-in's own packages alone: what they need of Debian is left out, so is the network. */
const alone: StandInPackage[] = yunohostPackages.map(({ name, version, fields }) =>
  fields?.Essential
    ? { name, version, fields: { Essential: 'yes', Depends: 'moulinette (>= 12.1), ssowat' } }
    : { name, version },
);

async function withStandIn(work: (repository: DebRepository, dir: string) => Promise<void>) {
  await inFolder(async (dir) => {
    const { repository } = await standInYunohost(dir, alone);
    try {
      await work(repository, dir);
    } finally {
      await repository.close();
    }
  });
}

function aptOf(dir: string, uri: string, keyFile: string) {
  const source = { name: 'yunohost', uri, suites: ['bookworm'], components: ['stable'], keyFile };
  return openApt({ dir: join(dir, 'apt'), arch: 'amd64', sources: [source] });
}

test('packages are found in the repository that is named, by the key that is given', async (t) => {
  await withStandIn(async (repository, dir) => {
    const apt = await aptOf(dir, repository.uri, repository.keyFile);
    const found = await apt.closure(['yunohost', 'yunohost-admin']);
    t.deepEqual(
      found.map(({ name, version, arch }) => `${name} ${version} ${arch}`),
      ['moulinette', 'ssowat', 'yunohost', 'yunohost-admin'].map((name) => `${name} 12.1.25 all`),
    );
    for (const { uri } of found) t.true(uri.startsWith(repository.uri), uri);
  });
});

test('another key, and an index changed on its way, are refused', async (t) => {
  await withStandIn(async (repository, dir) => {
    const plan = { suite: 'bookworm', component: 'stable', arches: ['amd64'], packages: [] };
    const other = join(dir, 'other');
    await inFolder(async (otherDir) => {
      const stranger = await serveDebRepository(otherDir, plan);
      writeFileSync(other, readFileSync(stranger.keyFile));
      await stranger.close();
    });
    await t.throwsAsync(aptOf(dir, repository.uri, other), refused('keyring-too-old'));
    const path = 'dists/bookworm/InRelease';
    const text = repository.served.get(path)!.toString();
    repository.served.set(path, Buffer.from(text.replace('Suite: bookworm', 'Suite: bookwurm')));
    const asking = aptOf(dir, repository.uri, repository.keyFile);
    await t.throwsAsync(asking, refused('mirror-malformed'));
  });
});

test('without its key, the image says where to get it, before any mirror is asked', async (t) => {
  await inFolder(async (dir) => {
    const folder = await readImageFolder('yunohost', 'amd64');
    const error = await t.throwsAsync(
      resolveImage(folder, { aptDir: join(dir, 'apt'), benchArch: 'amd64' }),
      refused('repository-key-missing'),
    );
    t.true((error as KitError).hint?.includes('https://forge.yunohost.org/yunohost_bookworm.asc'));
    t.true((error as KitError).expected?.endsWith('images/yunohost/yunohost.asc'));
  });
});

test('the stand-in changes where the image’s packages come from, and nothing else', async (t) => {
  await inFolder(async (dir) => {
    const { repository, imagesDir } = await standInYunohost(dir, alone);
    await repository.close();
    const real = await readImageFolder('yunohost', 'amd64');
    const stand = await readImageFolder('yunohost', 'amd64', imagesDir);
    t.deepEqual(stand.settings, {
      ...real.settings,
      repository: [{ ...real.settings.repository[0], uri: repository.uri }],
    });
  });
});

test('the node upgrades from YunoHost’s address by the key that the image holds', async (t) => {
  const { settings } = await readImageFolder('yunohost', 'amd64');
  t.is(
    nodeSourceFiles(settings).get('etc/apt/sources.list.d/yunohost.sources'),
    [
      'Types: deb',
      'URIs: http://forge.yunohost.org/debian',
      'Suites: bookworm',
      'Components: stable',
      'Signed-By: /usr/share/keyrings/yunohost.asc',
      '',
    ].join('\n'),
  );
});

test('nothing is asked for that YunoHost conflicts with', async (t) => {
  for (const arch of ['amd64', 'arm64']) {
    const { packages } = await readImageFolder('yunohost', arch);
    const conflicts = yunohostPackages[0].fields!.Conflicts.split(', ');
    t.deepEqual(packages.filter((name) => conflicts.includes(name)), [], arch);
  }
});

test('nobody on the network can do the postinstall: its services wait until it is done', async (t) => {
  const { rootDirs } = await readImageFolder('yunohost', 'amd64');
  const overlay = await readOverlay(rootDirs);
  for (const unit of ['yunohost-api', 'yunohost-portal-api']) {
    const path = `usr/lib/systemd/system/${unit}.service.d/commons-kit.conf`;
    const entry = overlay.find((item) => item.path === path);
    t.true(entry !== undefined && 'content' in entry);
    const text = Buffer.from((entry as { content: Uint8Array }).content).toString();
    t.true(text.includes('\nConditionPathExists=/etc/yunohost/installed\n'));
  }
});
