// The reproducibility test: builds each image twice, by two users, in two folders, on two file
// systems, the second time offline from an export of the packages, and compares all bytes; then
// spoils one file in a copy, which `kit image verify` must name. Needs root and minutes, so it is no
// part of `npm test`:
//
//   npm run test:images -- [NAME…] [--arch amd64|arm64] [--out DIR]
//
// The images stay in --out (default built/), for `npm run test:boot`.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { otherBuilder, ownBuilder, type Builder } from './builder.ts';
import { spoilFile } from './spoil.ts';

const { values, positionals } = parseArgs({
  options: {
    arch: { type: 'string', default: 'amd64' },
    out: { type: 'string', default: 'built' },
  },
  allowPositionals: true,
});
if (process.getuid?.() !== 0) {
  console.error('error[not-root]: this test builds as two users; run it as root.');
  process.exit(2);
}
const names = positionals.length > 0 ? positionals : ['snac', 'freedombox', 'yunohost'];
const { arch } = values;
const out = resolve(values.out);
// Closed to others: a build must not show whether its folder was.
mkdirSync(out, { recursive: true, mode: 0o700 });
let failed = 0;
let passed = 0;
const first = ownBuilder(tmpdir());
const second = otherBuilder('/dev/shm');
// YunoHost's own repository is beyond our reach: a stand-in serves packages of the same names.
const yunohost = names.includes('yunohost') ? await serveYunohost() : undefined;
try {
  for (const name of names) testImage(name);
  testVerify(names[0]);
} finally {
  yunohost?.stop();
  first.remove();
  second.remove();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);

async function serveYunohost(): Promise<{ folders: string; stop(): void }> {
  const script = fileURLToPath(new URL('../helpers/serve-yunohost.ts', import.meta.url));
  const words = [script, join(first.dir, 'yunohost')];
  const child = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  for await (const folders of createInterface({ input: child.stdout })) {
    return { folders, stop: () => child.stdin.end() };
  }
  throw new Error('the stand-in of YunoHost’s repository ended before it served');
}

function testImage(name: string): void {
  const stem = `${name}-${arch}`;
  const which = wordsFor(name);
  console.log(`${stem}: once, here`);
  first.kit(['image', 'build', ...which, '--out', out]);
  const lock = join(second.dir, 'lock');
  cpSync(join(out, `${stem}.packages.lock`), lock);
  const packages = join(second.dir, 'packages.tar');
  first.kit(['image', 'export', ...which, packages, '--lock', lock]);
  console.log(`${stem}: again, by another user, on another file system, offline`);
  second.kit(['image', 'import', packages]);
  second.kit(['image', 'build', ...which, '--lock', lock, '--out', 'out']);
  // The log tells of times, and so do the sums that count it in.
  for (const ending of ['img.zst', 'json', 'bmap', 'cdx.json', 'packages.lock']) {
    const files = [out, join(second.dir, 'out')].map((dir) => join(dir, `${stem}.${ending}`));
    const [a, b] = files.map((file) => sha256(file));
    tell(a === b, `${stem}.${ending}: the same bytes (${a.slice(0, 16)}…)`);
  }
  for (const left of ['out', 'cache', 'packages.tar', 'lock']) {
    rmSync(join(second.dir, left), { recursive: true, force: true });
  }
}

function wordsFor(name: string): string[] {
  const folders = name === 'yunohost' && yunohost ? ['--folders', yunohost.folders] : [];
  return [name, '--arch', arch, ...folders];
}

/** A changed byte deep inside, with manifest and sums made to fit, as somebody with intent would. */
function testVerify(name: string): void {
  const stem = `${name}-${arch}`;
  const copy = join(first.dir, 'spoiled');
  mkdirSync(copy);
  for (const ending of ['img.zst', 'json', 'packages.lock']) {
    cpSync(join(out, `${stem}.${ending}`), join(copy, `${stem}.${ending}`));
  }
  const path = '/usr/lib/os-release';
  spoilFile(join(copy, stem), path);
  const verify = (builder: Builder, dir: string) =>
    builder.kit(['image', 'verify', ...wordsFor(name), '--out', dir]);
  console.log(`${stem}: a file of it spoiled, then verified`);
  let said = '';
  try {
    verify(first, copy);
  } catch (error) {
    said = String(error);
  }
  tell(said.includes('image-differs') && said.includes(`${path} (content)`), `${path} is named`);
  console.log(`${stem}: as it was built, verified`);
  verify(first, out);
  tell(true, 'it is what its lock makes');
}

function tell(holds: boolean, what: string): void {
  if (holds) passed += 1;
  else failed += 1;
  console.log(`${holds ? 'ok     ' : 'not ok '} ${what}`);
}

function sha256(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}
