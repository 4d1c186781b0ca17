import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

import test from 'ava';
import fc from 'fast-check';

import { planScript, progressReader, quote } from '../../../provisioner/node/script.ts';
import type { Progress } from '../../../provisioner/node/script.ts';
import { Secret } from '../../../provisioner/node/secret.ts';
import { settle } from './stand-in.ts';

const mark = 'commons-0123456789abcdef';
const { uid, gid } = userInfo();

test('a script that arrives cut short runs not at all', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'commons-script-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const owner = `${uid}:${gid}`;
  const script = settle(
    planScript(
      [
        {
          name: 'First',
          because: 'it is',
          files: [{ path: `${dir}/file`, mode: '0644', owner, content: 'a\nb\n' }],
          command: `cat >${dir}/input`,
          input: new Secret('open sesame'),
        },
        { name: 'Second', because: 'it is', command: `touch ${dir}/second` },
      ],
      mark,
    ),
    { dir, behave: {} },
  );
  // Before the first function's body every cut is trivially harmless; the rest is cut every few bytes.
  const from = script.indexOf('apply() {');
  for (let length = from; length < script.length - 1; length += 11) {
    spawnSync('/bin/sh', ['-s'], { input: script.slice(0, length) });
    t.deepEqual((await readdir(dir)).filter((name) => name !== 'lock'), [], `cut at ${length}`);
  }
  const whole = spawnSync('/bin/sh', ['-s'], { input: script, encoding: 'utf8' });
  t.true(whole.stdout.endsWith(`\n${mark} done\n`), whole.stderr);
  t.deepEqual((await readdir(dir)).sort(), ['file', 'input', 'lock', 'second']);
});

test('a quoted word reaches the command as it was', (t) => {
  const words = fc.array(fc.string({ unit: 'grapheme' }).filter((word) => !word.includes('\0')), {
    minLength: 1,
    maxLength: 20,
  });
  fc.assert(
    fc.property(words, (list) => {
      const input = `printf '%s\\0' ${list.map(quote).join(' ')}`;
      const { stdout } = spawnSync('/bin/sh', ['-s'], { input, encoding: 'utf8' });
      t.deepEqual(stdout.split('\0').slice(0, -1), list);
    }),
    { numRuns: 20 },
  );
});

test('progress is the same however its text is cut', (t) => {
  const text =
    `\n${mark} start 0\nsaid\n\n${mark} end 0 0\n` +
    `\n${mark} start 1\nmore\nwords\n\n${mark} end 1 3\n\n${mark} done\n`;
  const read = (pieces: string[]): Progress[] => {
    const seen: Progress[] = [];
    const take = progressReader(mark, (progress) => seen.push(progress));
    pieces.forEach(take);
    return seen;
  };
  const whole = read([text]);
  t.deepEqual(whole, [
    { type: 'start', at: 0 },
    { type: 'end', at: 0, exitCode: 0, output: 'said' },
    { type: 'start', at: 1 },
    { type: 'end', at: 1, exitCode: 3, output: 'more\nwords' },
    { type: 'done' },
  ]);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), (size) => {
      t.deepEqual(read(text.match(new RegExp(`[^]{1,${size}}`, 'g'))!), whole);
    }),
  );
});
