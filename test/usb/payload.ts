// What the guest of the USB test runs: this repository's kit in one file, the Node that the project
// brings, mtools, their libraries, and a campaign with its image; all on a small file system, made
// without mounting anything.

import { execFileSync } from 'node:child_process';
import { chmod, copyFile, cp, mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const top = fileURLToPath(new URL('../../', import.meta.url));

/** The launcher's pool of threads: see provisioner/pinned-node.js. */
const kitScript = `#!/bin/sh
UV_THREADPOOL_SIZE=80 exec node /run/payload/kit/kit.mjs "$@"
`;

/** What a CommonJS package in an ES module still expects. */
const banner = `import { createRequire as makeRequire } from 'node:module';
const require = makeRequire(import.meta.url);
const [__dirname, __filename] = [import.meta.dirname, import.meta.filename];
`;

/** @returns the file system's file, made of what lies in `tree` and the programs */
export async function makePayload(dir: string, bench: string): Promise<string> {
  const tree = join(dir, 'payload');
  for (const folder of ['bin', 'lib', 'kit']) await mkdir(join(tree, folder), { recursive: true });
  await cp(bench, join(tree, 'bench'), { recursive: true });
  await build({
    entryPoints: [join(top, 'provisioner/kit.ts')],
    outfile: join(tree, 'kit/kit.mjs'),
    ...{ bundle: true, platform: 'node', format: 'esm', banner: { js: banner } },
    // ssh2's optional add-on, which is not built.
    ...{ external: ['*.node'], logLevel: 'error' },
  });
  // Looked for by its place as kit starts.
  const compiler = 'node_modules/@devicescript/cli/package.json';
  await mkdir(dirname(join(tree, 'kit', compiler)), { recursive: true });
  await copyFile(join(top, compiler), join(tree, 'kit', compiler));
  await writeFile(join(tree, 'bin/kit'), kitScript);
  await chmod(join(tree, 'bin/kit'), 0o755);
  const mtools = run('sh', ['-c', 'readlink -f "$(command -v mtools)"']).trim();
  for (const program of [process.execPath, mtools]) {
    await copyFile(program, join(tree, 'bin', basename(program)));
    for (const library of librariesOf(program)) {
      await copyFile(library, join(tree, 'lib', basename(library)));
    }
  }
  for (const name of ['mmd', 'mcopy', 'mdir']) await symlink('mtools', join(tree, 'bin', name));
  const file = join(dir, 'payload.ext4');
  await writeFile(file, '');
  await truncate(file, 512 * 2 ** 20);
  run('mke2fs', ['-q', '-t', 'ext4', '-O', '^has_journal', '-d', tree, file]);
  return file;
}

/** Besides the C library's own, which the guest has. */
function librariesOf(program: string): string[] {
  const own = /^(ld-linux|lib(c|m|dl|pthread|rt))[.-]/;
  return [...run('ldd', [program]).matchAll(/=> (\/\S+)/g)]
    .map(([, path]) => path)
    .filter((path) => !own.test(basename(path)));
}

export function run(tool: string, args: string[]): string {
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
  return execFileSync(tool, args, { env, stdio: ['ignore', 'pipe', 'pipe'] }).toString();
}
