// Golden cases: what a command printed on a FreedomBox 25.9, and the fact it gives.

import { readdirSync, readFileSync } from 'node:fs';

import test from 'ava';

import { FactError, type Fact } from '../../../../provisioner/node/fact.ts';
import { freedomboxFacts } from '../../../../provisioner/node/freedombox/facts.ts';
import { desired } from './toy-node.ts';

interface Case {
  about: string;
  fact: string;
  text: string[];
  exitCode?: number;
  value?: unknown;
  /** What was expected, when the text makes no sense. */
  error?: string;
}

const facts = freedomboxFacts(['/etc/a'], desired) as unknown as Record<string, Fact<unknown>>;
const folder = new URL('../cases/freedombox-facts/', import.meta.url);

for (const file of readdirSync(folder)) {
  const golden = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Case;
  test(`${file}: ${golden.about}`, (t) => {
    const parse = () => facts[golden.fact].parse(golden.text.join('\n'), golden.exitCode ?? 0);
    if (golden.error === undefined) return void t.deepEqual(parse(), golden.value);
    t.is(t.throws(parse, { instanceOf: FactError })?.expected, golden.error);
  });
}
