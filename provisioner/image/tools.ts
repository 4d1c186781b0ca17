// The tools of the image's own release, run in place: each is started through the tree's own
// dynamic loader and libraries, so no chroot, mount or privilege is needed, and every bench makes
// the same bytes.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { KitError } from '../errors.ts';
import { run } from './run.ts';

export interface Tools {
  /** Path of a file in the tree. */
  file(path: string): string;
  /** Runs e.g. `sbin/mke2fs`. */
  run(tool: string, args: readonly string[], input?: string): Promise<string>;
}

const libraries = 'usr/lib/x86_64-linux-gnu';
const loader = 'usr/lib64/ld-linux-x86-64.so.2';

/** Unpacks the tools' archive into `dir`. */
export async function openTools(tar: string, dir: string, epochS: number): Promise<Tools> {
  if (process.arch !== 'x64') {
    throw new KitError({
      code: 'bench-arch-unsupported',
      message: 'images can be built on amd64 machines only, so far',
      expected: 'x64',
      got: process.arch,
      hint: 'Build it on such a machine, and name it with --image FILE when flashing.',
    });
  }
  await mkdir(dir, { recursive: true });
  await run(['tar', '-xf', tar, '-C', dir, '--no-same-owner', '--exclude=./dev']);
  const file = (path: string) => join(dir, path);
  const env = {
    SOURCE_DATE_EPOCH: String(epochS),
    // The loader's libraries look for their own data under /usr unless told otherwise.
    GCONV_PATH: file(`${libraries}/gconv`),
    MKE2FS_CONFIG: file('etc/mke2fs.conf'),
    MTOOLSRC: '/dev/null',
  };
  return {
    file,
    run: (tool, args, input) =>
      run(
        [file(loader), '--argv0', tool, '--library-path', file(libraries), file(`usr/${tool}`)]
          .concat(args),
        { name: tool, env, input },
      ),
  };
}
