// Hands a command over to the Node that the project brings, and stays only to pass signals on and to
// give its exit status back. Plain JavaScript for any Node from 18 on; shared by the launchers.

import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from './cache-folder.js';

const NODE = fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url));

/**
 * Node reads and writes files on a pool of threads, four by default: one drive that hangs, with its
 * four transfers under way, would stop all others. This is enough for sixteen drives that all hang
 * (4 × 16), and for the rest of the work beside them. An idle thread costs some 10 KB.
 */
const THREADS = '80';

/** Node keeps our programs compiled here: half of the work of starting one, and 30 MB of its memory. */
const COMPILED = join(cacheFolder(), 'compiled');

/**
 * Flags of Node's for commands that mostly wait for others. Its young generation grows to 16 MiB
 * twice over wherever there is room: eight drives at once take 25 MB less with this, and no longer.
 */
export const SMALL_HEAP = ['--max-semi-space-size=2'];

/**
 * Runs the TypeScript file at `url` with `args`; resolves to its exit status, or to 128 + the number
 * of the signal that ended it. When this process or the one that started it goes away, even by
 * SIGKILL, the command is told to end: no virtual machine outlives its journey.
 * @param {URL} url
 * @param {string[]} args
 * @param {string[]} flags Node's own
 * @returns {Promise<number>}
 */
export async function runPinnedNode(url, args, flags = []) {
  const words = ['--pdeathsig', 'TERM', NODE, ...flags, fileURLToPath(url), ...args];
  const env = { UV_THREADPOOL_SIZE: THREADS, NODE_COMPILE_CACHE: COMPILED, ...process.env };
  const child = spawn('setpriv', words, { stdio: 'inherit', env });
  const parent = process.ppid;
  const orphaned = setInterval(() => process.ppid !== parent && child.kill('SIGTERM'), 500);
  // The terminal sends Ctrl-C to the child as well; the child decides when it has tidied up.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.on('SIGHUP', () => child.kill('SIGTERM'));
  return new Promise((resolve) => {
    child.on('error', (error) => {
      process.stderr.write(`error[start]: ${error.message}\n`);
      resolve(1);
    });
    child.on('exit', (code, signal) => {
      clearInterval(orphaned);
      resolve(code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  });
}
