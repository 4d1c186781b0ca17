// Golden cases: a fresh or a settled FreedomBox, what is different about it, and the plan that
// follows.

import { readdirSync, readFileSync } from 'node:fs';

import test from 'ava';

import { freedombox } from '../../../../provisioner/node/freedombox/plan.ts';
import type { FreedomboxFacts } from '../../../../provisioner/node/freedombox/facts.ts';
import { afterSteps, desired, freshFacts } from './toy-node.ts';

interface Case {
  about: string;
  node: 'fresh' | 'settled';
  desired?: Record<string, string>;
  facts?: Partial<FreedomboxFacts>;
  /** Each step's name and reason … */
  steps?: [string, string][];
  /** … or why there is no plan. */
  error?: string;
}

const folder = new URL('../cases/freedombox-plan/', import.meta.url);
const settled = (): FreedomboxFacts =>
  afterSteps(freshFacts(), freedombox.plan(desired, freshFacts()));

for (const file of readdirSync(folder)) {
  const golden = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Case;
  test(`${file}: ${golden.about}`, (t) => {
    const base = golden.node === 'fresh' ? freshFacts() : settled();
    const facts = merge(base, golden.facts ?? {}) as FreedomboxFacts;
    const plan = () => freedombox.plan({ ...desired, ...golden.desired }, facts);
    if (golden.error !== undefined) return void t.like(t.throws(plan), { code: golden.error });
    t.deepEqual(plan().map(({ name, because }) => [name, because]), golden.steps);
  });
}

test('cut off after any number of steps, the next run does the rest and nothing is left', (t) => {
  const steps = freedombox.plan(desired, freshFacts());
  for (let done = 0; done <= steps.length; done += 1) {
    const cut = afterSteps(freshFacts(), steps.slice(0, done));
    const rest = freedombox.plan(desired, cut);
    t.is(rest.length, steps.length - done, `after ${done} steps`);
    t.deepEqual(freedombox.plan(desired, afterSteps(cut, rest)), []);
  }
});

test('no secret is in any command, name or open file', (t) => {
  const text = JSON.stringify(freedombox.plan(desired, freshFacts()));
  t.false(text.includes(desired.ownerPassphrase.reveal()));
  t.false(text.includes(desired.certificateKey.reveal().trim()));
});

/** Objects are merged, null removes, all else replaces. */
function merge(base: unknown, changes: unknown): unknown {
  const plain = (value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!plain(base) || !plain(changes)) return changes;
  const merged = { ...(base as Record<string, unknown>) };
  for (const [key, value] of Object.entries(changes as Record<string, unknown>)) {
    if (value === null) delete merged[key];
    else merged[key] = merge(merged[key], value);
  }
  return merged;
}
