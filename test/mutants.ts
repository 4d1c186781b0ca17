// Breaks the sources on purpose, one kept mutation at a time, in a copy of the tree, and demands
// that the tests named beside it turn red: tests that cannot fail are worth nothing. The mutations
// stand in test/mutants.json. Run by `npm run mutants`; takes some eight minutes.

import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Mutation {
  /** What the mutated code would do wrong, in a few words. */
  name: string;
  file: string;
  /** Exact text, once in the file. */
  find: string;
  replace: string;
  /** Test files that must notice; one is enough. */
  tests: string[];
}

const top = fileURLToPath(new URL('..', import.meta.url));
const mutations: Mutation[] = JSON.parse(readFileSync(join(top, 'test/mutants.json'), 'utf8'));
const copy = copyTree();
process.on('exit', () => rmSync(copy, { recursive: true, force: true }));

const sound = runTests([...new Set(mutations.flatMap((mutation) => mutation.tests))]);
if (sound.status !== 0) {
  console.log(sound.output);
  console.log('error[not-green]: the tests fail before any mutation; nothing can be learned.');
  process.exit(1);
}
const survivors = mutations.filter((mutation) => !isKilled(mutation));
for (const { name, file } of survivors) console.log(`SURVIVED  ${name} (${file})`);
console.log(`${mutations.length - survivors.length} passed, ${survivors.length} failed`);
process.exit(survivors.length === 0 ? 0 : 1);

function copyTree(): string {
  const dir = mkdtempSync(join(tmpdir(), 'commons-kit-mutants-'));
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: top });
  for (const file of listed.toString().trim().split('\n')) {
    cpSync(join(top, file), join(dir, file), { recursive: true });
  }
  symlinkSync(join(top, 'node_modules'), join(dir, 'node_modules'));
  return dir;
}

function isKilled({ name, file, find, replace, tests }: Mutation): boolean {
  const path = join(copy, file);
  const source = readFileSync(path, 'utf8');
  const places = source.split(find).length - 1;
  if (places !== 1) {
    console.log(`error[stale-mutation]: "${name}" matches ${places} places in ${file}`);
    return false;
  }
  writeFileSync(path, source.replace(find, () => replace));
  const { status } = runTests(tests);
  writeFileSync(path, source);
  if (status !== 0) console.log(`killed    ${name}`);
  return status !== 0;
}

function runTests(tests: string[]): { status: number; output: string } {
  const words = ['node_modules/.bin/ava', '--fail-fast', ...tests];
  const run = spawnSync(process.execPath, words, { cwd: copy, encoding: 'utf8' });
  return { status: run.status ?? 1, output: `${run.stdout}${run.stderr}` };
}
