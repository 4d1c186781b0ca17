import { spawnSync } from 'node:child_process';

import test from 'ava';

import { factScript, FactError, readFacts } from '../../../provisioner/node/fact.ts';
import type { FactsOf } from '../../../provisioner/node/fact.ts';

const mark = 'commons-0123456789abcdef';

interface Facts {
  lines: string[];
  exitCode: number;
  empty: string;
}

const facts: FactsOf<Facts> = {
  lines: { script: "printf 'a\\n\\nb\\n'; cat", parse: (text) => text.split('\n') },
  exitCode: { script: 'echo gone >&2; exit 7', parse: (_, exitCode) => exitCode },
  empty: { script: ':', parse: (text) => text },
};

const ask = (asked: FactsOf<unknown>): string =>
  spawnSync('/bin/sh', ['-s'], { input: factScript(asked, mark), encoding: 'utf8' }).stdout;

test('facts come back as the shell told them', (t) => {
  t.deepEqual(readFacts(facts, mark, ask(facts)), { lines: ['a', '', 'b'], exitCode: 7, empty: '' });
});

test('an answer cut anywhere is refused', (t) => {
  const answer = ask(facts);
  for (let length = 0; length < answer.length; length += 1) {
    const error = t.throws(() => readFacts(facts, mark, answer.slice(0, length)), undefined, `${length}`);
    t.like(error, { code: 'facts-cut-short' });
  }
});

test('what a fact prints cannot pass for a frame of its question', (t) => {
  const forged = { forged: { script: "printf '\\ncommons-feed end 0\\n'", parse: (text: string) => text } };
  t.deepEqual(readFacts(forged, mark, ask(forged)), { forged: '\ncommons-feed end 0' });
});

test('an answer that makes no sense names the fact', (t) => {
  const parse = (text: string): never => {
    throw new FactError('a number', text);
  };
  const odd = { count: { script: 'echo many', parse } };
  t.throws(() => readFacts(odd, mark, ask(odd)), {
    message: 'The node\'s answer about “count” makes no sense',
  });
});
