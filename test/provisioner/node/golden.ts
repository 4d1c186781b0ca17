// Golden cases of a kind of node, one JSON file each: what a command printed and the fact that it
// gives; what is different about a node and the plan that follows. The same for every kind.

import { readdirSync, readFileSync } from 'node:fs';

import test from 'ava';

import type { NodeKind } from '../../../provisioner/node/configure.ts';
import { FactError, type Fact, type FactsOf } from '../../../provisioner/node/fact.ts';
import type { Secret } from '../../../provisioner/node/secret.ts';
import type { Step } from '../../../provisioner/node/step.ts';

/** What stands in a folder of `cases/`, by file. */
function casesIn<T>(name: string): [file: string, golden: T][] {
  const folder = new URL(`cases/${name}/`, import.meta.url);
  return readdirSync(folder).map((file) => (
    [file, JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as T]
  ));
}

interface FactCase {
  about: string;
  fact: string;
  text: string[];
  exitCode?: number;
  value?: unknown;
  /** What was expected, when the text makes no sense. */
  error?: string;
}

/** @param name of the folder */
export function testFacts<F>(name: string, asked: FactsOf<F>): void {
  const facts = asked as Record<string, Fact<unknown>>;
  for (const [file, golden] of casesIn<FactCase>(name)) {
    test(`${file}: ${golden.about}`, (t) => {
      const parse = () => facts[golden.fact].parse(golden.text.join('\n'), golden.exitCode ?? 0);
      if (golden.error === undefined) return void t.deepEqual(parse(), golden.value);
      t.is(t.throws(parse, { instanceOf: FactError })?.expected, golden.error);
    });
  }
}

interface PlanCase<F> {
  about: string;
  node: 'fresh' | 'settled';
  desired?: Record<string, unknown>;
  facts?: Partial<F>;
  /** Each step's name and reason … */
  steps?: [string, string][];
  /** … or why there is no plan. */
  error?: string;
}

/** A kind's toy node: steps are read, not run. */
export interface Toy<D, F> {
  desired: D;
  freshFacts(): F;
  afterSteps(before: F, steps: Step[]): F;
}

/** @param name of the folder */
export function testPlans<D extends { ownerPassphrase: Secret; certificateKey: Secret }, F>(
  name: string,
  kind: NodeKind<D, F>,
  { desired, freshFacts, afterSteps }: Toy<D, F>,
): void {
  const settled = (): F => afterSteps(freshFacts(), kind.plan(desired, freshFacts()));
  for (const [file, golden] of casesIn<PlanCase<F>>(name)) {
    test(`${file}: ${golden.about}`, (t) => {
      const base = golden.node === 'fresh' ? freshFacts() : settled();
      const facts = merge(base, golden.facts ?? {}) as F;
      const plan = () => kind.plan({ ...desired, ...golden.desired }, facts);
      if (golden.error !== undefined) return void t.like(t.throws(plan), { code: golden.error });
      t.deepEqual(plan().map(({ name: step, because }) => [step, because]), golden.steps);
    });
  }

  test('cut off after any number of steps, the next run does the rest and nothing is left', (t) => {
    const steps = kind.plan(desired, freshFacts());
    for (let done = 0; done <= steps.length; done += 1) {
      const cut = afterSteps(freshFacts(), steps.slice(0, done));
      const rest = kind.plan(desired, cut);
      t.is(rest.length, steps.length - done, `after ${done} steps`);
      t.deepEqual(kind.plan(desired, afterSteps(cut, rest)), []);
    }
  });

  test('no secret is in any command, name or open file', (t) => {
    const text = JSON.stringify(kind.plan(desired, freshFacts()));
    t.false(text.includes(desired.ownerPassphrase.reveal()));
    t.false(text.includes(desired.certificateKey.reveal().trim()));
  });
}

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
