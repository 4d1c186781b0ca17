// Two benches on one machine: the one that runs this test, and another user with another folder on
// another file system, another umask, time zone and language, and no way to any mirror.

import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const kit = fileURLToPath(new URL('../../provisioner/kit.ts', import.meta.url));

export interface Builder {
  /** A folder of the builder's own. */
  dir: string;
  /** Runs `kit` with these words in `dir`, and gives back the document that it printed. */
  kit(words: readonly string[]): unknown;
  remove(): void;
}

/** @param at a folder on the file system to build on */
export function ownBuilder(at: string): Builder {
  mkdirSync(at, { recursive: true });
  const dir = mkdtempSync(join(at, 'kit-images-'));
  chmodSync(dir, 0o755); // The other builder reads what is put there.
  const run = (words: readonly string[]) =>
    execFileSync(process.execPath, [kit, '--json', ...words], {
      cwd: dir,
      maxBuffer: 2 ** 26,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  return {
    dir,
    kit: (words) => documentOf(() => run(words)),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** An account that lasts as long as the test. Needs root. */
export function otherBuilder(at: string, name = 'kit-builder'): Builder {
  removeAccount(name); // of a test that was killed
  execFileSync('useradd', ['--create-home', '--shell', '/bin/sh', name], { stdio: 'ignore' });
  const uid = Number(execFileSync('id', ['-u', name]));
  const gid = Number(execFileSync('id', ['-g', name]));
  mkdirSync(at, { recursive: true });
  const dir = mkdtempSync(join(at, 'kit-images-'));
  chownSync(dir, uid, gid);
  chmodSync(dir, 0o755); // What it makes is compared by another user.
  const env = {
    HOME: `/home/${name}`,
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    XDG_CACHE_HOME: join(dir, 'cache'),
    TZ: 'Pacific/Chatham',
    LANG: 'de_AT.UTF-8',
    http_proxy: 'http://127.0.0.1:9', // nobody answers there: whatever asks a mirror fails
    https_proxy: 'http://127.0.0.1:9',
  };
  const run = (words: readonly string[]) => {
    const user = [`--reuid=${uid}`, `--regid=${gid}`, '--init-groups', '--reset-env'];
    const set = Object.entries(env).map(([key, value]) => `${key}=${value}`);
    const script = 'umask 077; exec "$@"';
    const argv = [...user, 'env', ...set, 'sh', '-c', script, 'sh', process.execPath, kit];
    return execFileSync('setpriv', [...argv, '--json', ...words], {
      cwd: dir,
      maxBuffer: 2 ** 26,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  };
  return {
    dir,
    kit: (words) => documentOf(() => run(words)),
    remove() {
      rmSync(dir, { recursive: true, force: true });
      removeAccount(name);
    },
  };
}

/** What the command printed; a failed one's document, which tells the error, is the message. */
function documentOf(run: () => Buffer): unknown {
  try {
    return JSON.parse(run().toString());
  } catch (error) {
    // The cause would print every byte of it once more.
    throw new Error(String((error as { stdout?: Buffer }).stdout ?? error));
  }
}

function removeAccount(name: string): void {
  try {
    execFileSync('userdel', ['--remove', name], { stdio: 'ignore' });
  } catch (error) {
    // 6: there is no such account (userdel(8)). Left to stand, one would only be in the next's way.
    if ((error as { status?: number }).status !== 6) throw error;
  }
}
