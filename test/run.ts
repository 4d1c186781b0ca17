// Runs the tests of one kind, prints what fails and one line a file, and closes with
// `N passed, N failed`. `fast` needs neither root nor QEMU; `root` is the files *.root.test.ts.

import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

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
  const ava = spawn(process.execPath, words, { cwd: top, stdio: ['ignore', 'pipe', 'inherit'] });
  const counts = { passed: 0, failed: 0 };
  const perFile = new Map<string, number>();
  let showing = false;
  for await (const line of createInterface({ input: ava.stdout })) {
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
  for (const [file, passed] of [...perFile].sort()) console.log(`${passed} passed  ${file}`);
  // A file that crashed reports no test of its own; it must not look like success.
  if (status !== 0 && counts.failed === 0) counts.failed = 1;
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1;
}
