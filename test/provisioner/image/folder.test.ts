import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { KitError } from '../../../provisioner/errors.ts';
import {
  imagesDir,
  parseImageToml,
  readImageFolder,
} from '../../../provisioner/image/folder.ts';
import { readOverlay } from '../../../provisioner/image/overlay.ts';

const refused = (code: string) => ({ instanceOf: KitError, code });

test('snac stands in images/, with packages for its architecture', async (t) => {
  const { packages, settings } = await readImageFolder('snac', 'amd64');
  t.is(settings.release, 'trixie');
  for (const name of ['snac2', 'nginx', 'openssh-server', 'nftables', 'linux-image-amd64']) {
    t.true(packages.includes(name), name);
  }
});

test('an unknown image, a path for a name and an unknown architecture are refused', async (t) => {
  await t.throwsAsync(readImageFolder('nosuch', 'amd64'), refused('image-unknown'));
  await t.throwsAsync(readImageFolder('../images/snac', 'amd64'), refused('image-unknown'));
  await t.throwsAsync(readImageFolder('snac', 'riscv64'), refused('image-arch-unknown'));
});

test('a malformed image.toml is refused, and says where', async (t) => {
  const good = await readFile(join(imagesDir, 'snac', 'image.toml'), 'utf8');
  t.notThrows(() => parseImageToml(good, 'f'));
  const faults: [RegExp, string, RegExp][] = [
    [/^release = .*$/m, 'release = "Trixie 13"', /release/],
    [/^esp_mib = .*$/m, 'esp_mib = 8', /esp_mib/],
    [/^mirror = .*$/m, 'mirror = "file:///tmp"', /mirror/],
    [/"snac2"/, '"snac2; rm -rf /"', /packages/],
    [/"\/usr\/share\/doc\/\*"/, '"/usr/share/$(x)"', /exclude_paths/],
    [/^release = .*$/m, 'release = ', /line|Invalid|value/i],
    [/^description/m, 'desription', /desription|description/],
  ];
  for (const [from, to, got] of faults) {
    const error = t.throws(() => parseImageToml(good.replace(from, to), 'f'), {
      instanceOf: KitError,
    });
    t.is(error.code, 'image-toml-malformed', to);
    t.regex(error.got ?? '', got, to);
  }
});

test('the tree has what first boot needs, executable where it must be', async (t) => {
  const { rootDir } = await readImageFolder('snac', 'amd64');
  const entries = new Map((await readOverlay(rootDir)).map((entry) => [entry.path, entry]));
  const script = entries.get('usr/lib/commons-kit/first-boot');
  t.true(script !== undefined && 'mode' in script && script.mode === 0o755);
  t.true(entries.has('usr/lib/systemd/system/commons-first-boot.service'));
  for (const entry of entries.values()) {
    if ('target' in entry && entry.path.startsWith('etc/systemd/system/')) {
      t.is(entry.target, '/dev/null', entry.path);
    }
  }
});
