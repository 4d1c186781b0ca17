// Runs the tests of one kind, prints what fails and one line a file, and closes with
// `N passed, N failed`. `fast` needs neither root nor QEMU; `root` is the files *.root.test.ts.
// Tests that stand still are ended, and what was running is printed.

import { spawn, spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/**
 * Longer than the time after which ava ends a file that tells nothing. It has no answer to a
 * file that takes no SIGTERM, nor to a process that a test left and that holds its pipes.
 */
const STANDSTILL_MS = 4 * 60_000;

const top = fileURLToPath(new URL('..', import.meta.url));
const [kind = 'fast', ...named] = process.argv.slice(2);

const all = globSync('test/**/*.test.ts', { cwd: top }).sort();
const files = all
  .filter((file) => file.endsWith('.root.test.ts') === (kind === 'root'))
  .filter((file) => named.length === 0 || named.some((part) => file.includes(part)));
if (kind === 'root' && process.getuid?.() !== 0) {
  console.error('error[not-root]: these tests use loop devices and namespaces; run them as root.');
  process.exit(2);
}
if (kind !== 'root') {
  const rooted = all.filter((file) => file.endsWith('.root.test.ts')).length;
  console.log(`${rooted} test files need root: \`npm run test:root\`. The journey: \`npm start\`.`);
}
process.exit(await runAva(files));

/** Runs ava and turns its TAP into lines for people; resolves to the exit status. */
async function runAva(chosen: string[]): Promise<number> {
  const words = ['node_modules/.bin/ava', '--tap', ...chosen];
  // A group of its own: with it ends whatever the tests started and forgot.
  const ava = spawn(process.execPath, words, {
    cwd: top,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      endGroup(ava.pid);
      process.exit(1);
    });
  }
  const counts = { passed: 0, failed: 0 };
  const perFile = new Map<string, number>();
  const standstill = setTimeout(() => {
    counts.failed++;
    console.log('not ok - the tests stood still; what was started since they began:');
    console.log(runningSince(performance.now() / 1000));
    endGroup(ava.pid);
  }, STANDSTILL_MS);
  let showing = false;
  for await (const line of createInterface({ input: ava.stdout })) {
    standstill.refresh();
    const result = /^(not )?ok \d+ - (?:(.+?) › )?(.*)$/.exec(line);
    if (result) {
      showing = Boolean(result[1]);
      if (result[1]) counts.failed++;
      else {
        counts.passed++;
        const file = result[2] ?? '';
        perFile.set(file, (perFile.get(file) ?? 0) + 1);
      }
    }
    if (showing) console.log(line);
  }
  const status = await new Promise<number>((resolve) => {
    if (ava.exitCode !== null) resolve(ava.exitCode);
    else ava.on('exit', (code) => resolve(code ?? 1));
  });
  clearTimeout(standstill);
  if (endGroup(ava.pid)) console.log('What tests had left running was ended.');
  for (const [file, passed] of [...perFile].sort()) console.log(`${passed} passed  ${file}`);
  // A file that crashed reports no test of its own; it must not look like success.
  if (status !== 0 && counts.failed === 0) counts.failed = 1;
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1;
}

/** The processes of this machine that are no older than so many seconds, as a tree. */
function runningSince(ageSeconds: number): string {
  const columns = 'etimes=,pid=,ppid=,stat=,args=';
  const listed = spawnSync('ps', ['-e', '--forest', '-ww', '-o', columns], { encoding: 'utf8' });
  if (listed.error) return String(listed.error);
  return listed.stdout
    .split('\n')
    .filter((line) => line !== '' && Number.parseInt(line, 10) <= ageSeconds)
    .map((line) => line.slice(0, 200))
    .join('\n');
}

/** Kills the process group. Returns whether any of it was there. */
function endGroup(leader: number | undefined): boolean {
  if (leader === undefined) return false;
  try {
    return process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    return false;
  }
}
