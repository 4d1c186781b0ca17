import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
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

test('what an image extends lies under its own keys and tree', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'images-'));
  try {
    const write = (path: string, text: string) => {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), text);
    };
    const mirrors = 'mirror = "http://m.test/d"\nsecurity_mirror = "http://m.test/s"\n';
    write('low/base.toml', `${mirrors}esp_mib = 64\nroot_spare_mib = 64\ncomponents = ["main"]
packages = ["bb"]\n[arch.arm64]\npackages = ["k-arm"]\nesp_mib = 256\nconsoles = ["ttyAMA0"]`);
    write('low/root/etc/a', 'low');
    write('low/root/etc/b', 'low');
    write('high/image.toml', `extends = "low"\ndescription = "d"\nrelease = "trixie"
packages = ["aa", "bb"]\n[arch.arm64]\ncomponents = ["non-free-firmware"]`);
    write('high/root/etc/b', 'high');
    const folder = await readImageFolder('high', 'arm64', dir);
    t.deepEqual(folder.packages, ['aa', 'bb', 'k-arm']);
    t.is(folder.settings.esp_mib, 256);
    t.deepEqual(folder.settings.components, ['main', 'non-free-firmware']);
    const texts = (await readOverlay(folder.rootDirs)).map((entry) =>
      'content' in entry ? [entry.path, Buffer.from(entry.content).toString()] : [],
    );
    t.deepEqual(texts.sort(), [['etc/a', 'low'], ['etc/b', 'high']]);

    await t.throwsAsync(readImageFolder('high', 'amd64', dir), refused('image-arch-unknown'));
    await t.throwsAsync(readImageFolder('low', 'arm64', dir), refused('image-unknown'));
    write('high/image.toml', 'extends = "nosuch"\ndescription = "d"\n[arch.arm64]');
    await t.throwsAsync(readImageFolder('high', 'arm64', dir), refused('image-toml-malformed'));
    write('low/base.toml', 'extends = "low"');
    write('high/image.toml', 'extends = "low"\ndescription = "d"\n[arch.arm64]');
    await t.throwsAsync(readImageFolder('high', 'arm64', dir), refused('image-toml-malformed'));
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('a malformed image.toml is refused, and says where', async (t) => {
  const base = await readFile(join(imagesDir, 'node', 'base.toml'), 'utf8');
  const good = `description = "one of all"\nrelease = "trixie"\n${base}`;
  t.notThrows(() => parseImageToml(good, 'f'));
  const faults: [RegExp, string, RegExp][] = [
    [/^release = .*$/m, 'release = "Trixie 13"', /release/],
    [/^esp_mib = .*$/m, 'esp_mib = 8', /esp_mib/],
    [/^mirror = .*$/m, 'mirror = "file:///tmp"', /mirror/],
    [/"curl"/, '"curl; rm -rf /"', /packages/],
    [/^\[arch.amd64\]/m, '[arch.i386]', /arch/],
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
  const { rootDirs } = await readImageFolder('snac', 'amd64');
  const entries = new Map((await readOverlay(rootDirs)).map((entry) => [entry.path, entry]));
  const script = entries.get('usr/lib/commons-kit/first-boot');
  t.true(script !== undefined && 'mode' in script && script.mode === 0o755);
  t.true(entries.has('usr/lib/systemd/system/commons-first-boot.service'));
  for (const entry of entries.values()) {
    if ('target' in entry && entry.path.startsWith('etc/systemd/system/')) {
      t.is(entry.target, '/dev/null', entry.path);
    }
  }
});
