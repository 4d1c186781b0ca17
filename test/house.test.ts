// The house rules that a machine can keep: who may import whom, what lies where, and what must not
// be in the repository.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const top = fileURLToPath(new URL('..', import.meta.url));
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: top })
  .toString()
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(top, file)));
const sources = files.filter((file) => /\.(ts|js|mjs)$/.test(file));

/** For each room: what it may import besides itself, Node and npm packages. */
const ROOMS: { room: RegExp; may: RegExp; why: string }[] = [
  { room: /^firmware\/wire\.ts$/, may: /^$/, why: 'wire imports nothing: two runtimes share it' },
  {
    room: /^firmware\/(?!(main|meter|measuring|growing|reporting|selftest|wire|journal|keyring|ring|pages?)\.ts)[^/]+\.ts$/,
    may: /^firmware\/wire(\.js)?$|^@devicescript\//,
    why: 'a part of the meter imports wire and DeviceScript; main and its fibers join the parts',
  },
  {
    room: /^firmware\/(journal|keyring|ring|pages?)\.ts$/,
    may: /^firmware\/(wire|cell|keyring|pages?)(\.js)?$/,
    why: 'what survives without power is made of cells and pages',
  },
  {
    room: /^firmware\/main\.ts$/,
    may: /^firmware\/[^/]+$|^@devicescript\//,
    why: 'main joins the parts of the meter',
  },
  {
    room: /^firmware\/(meter|measuring|growing|reporting|selftest)\.ts$/,
    may: /^firmware\/(?!edge|main)[^/]+$/,
    why: 'the meter’s fibers know no runtime: an edge is passed in',
  },
  {
    room: /^ledger\/.*\.ts$/,
    may: /^ledger\/|^firmware\/wire\.ts$/,
    why: 'the ledger stands alone, but for the format that the meter owns',
  },
  {
    room: /^provisioner\/.*\.ts$/,
    may: /^provisioner\/|^firmware\/wire\.ts$/,
    why: 'the bench knows the ledger only by its HTTP interface',
  },
  {
    room: /^hardware\/.*\.ts$/,
    may: /^hardware\//,
    why: 'the hardware is drawn from its own data',
  },
];

for (const { room, may, why } of ROOMS) {
  test(why, (t) => {
    const inside = sources.filter((file) => room.test(file));
    t.true(inside.length > 0, `no file matches ${room}`);
    for (const file of inside) {
      for (const target of importsOf(file)) {
        const foreign = !target.startsWith('.') && !file.startsWith('firmware/');
        const resolved = target.startsWith('.') ? normalize(join(dirname(file), target)) : target;
        t.true(foreign || may.test(resolved), `${file} imports ${target}`);
      }
    }
  });
}

test('pure rooms never import I/O', (t) => {
  const pure = [
    /^ledger\/(entry|publish)\.ts$/,
    /^ledger\/log\/(tree|note|checkpoint|proof|policy|cosignature)\.ts$/,
    /^ledger\/verify\//,
    /^provisioner\/node\/operation\//,
    /^provisioner\/(drive\/eligible|node\/plan)\.ts$/,
    /^provisioner\/image\/(apt-sources|blockmap|cyclonedx|grub|layout|loader|lock|stanza|tar)\.ts$/,
    /^provisioner\/image\/(raspi|sshsig)\.ts$/,
  ];
  const io = /^(node:)?(fs|net|http|https|child_process|sqlite|dgram|tls)(\/|$)|^zx$|^ssh2$/;
  for (const rule of pure) {
    const inside = sources.filter((file) => rule.test(file));
    t.true(inside.length > 0, `no file matches ${rule}`);
    for (const file of inside) {
      t.deepEqual(importsOf(file).filter((target) => io.test(target)), [], file);
    }
  }
});

test('images hold data and a tree shaped like their root, no TypeScript', (t) => {
  t.deepEqual(sources.filter((file) => file.startsWith('images/')), []);
});

test('test files mirror sources', (t) => {
  for (const file of files.filter((name) => /^test\/.+\.test\.ts$/.test(name))) {
    const source = file.replace(/^test\//, '').replace(/(\.root)?\.test\.ts$/, '');
    const found = [`${source}.ts`, `${source}.js`, source].some((p) => existsSync(join(top, p)));
    t.true(found || source === 'house', `${file} tests no file or folder of that name`);
  }
});

test('no drawers: utils, helpers in sources, barrels', (t) => {
  const drawers = sources.filter(
    (file) => !file.startsWith('test/') && /(^|\/)(utils?|helpers?|common|misc|index)\.ts$/.test(file),
  );
  t.deepEqual(drawers, []);
});

test('README is short, the lock names no download addresses, no host of a registry anywhere', (t) => {
  t.true(read('README.md').split('\n').length <= 121);
  t.false(read('package-lock.json').includes('"resolved"'));
  const hosts = new RegExp(['registry', 'npmjs'].join('\\.'));
  for (const file of files.filter((name) => !/\.(png|bin|stl)$/.test(name))) {
    t.false(hosts.test(read(file)), file);
  }
});

test('every runtime dependency has a line in CONTRIBUTING', (t) => {
  const { dependencies } = JSON.parse(read('package.json'));
  const page = read('CONTRIBUTING.md');
  for (const name of Object.keys(dependencies)) t.true(page.includes(`\`${name}\``), name);
});

function importsOf(file: string): string[] {
  const pattern = /(?:^|\n)\s*(?:import|export)\s[^'"]*?from\s*['"]([^'"]+)['"]|import\s*\(?\s*['"]([^'"]+)['"]/g;
  return [...read(file).matchAll(pattern)].map((match) => match[1] ?? match[2]);
}

function read(file: string): string {
  return readFileSync(join(top, file), 'utf8');
}
