import test from 'ava';
import { makeKit, type MakeStep, type StepName } from '../../../provisioner/make/make.ts';
import { createOutput } from '../../../provisioner/terminal.ts';

const quiet = { ...createOutput({ json: true }), event: () => undefined };

test('steps run in order, those that are done are passed over, and it stops where it is told', async (t) => {
  const ran: string[] = [];
  const steps = ['image', 'flash', 'configure'].map((name) => step(name as StepName, ran));
  steps[0].isDone = async () => 'there';
  const made = await makeKit(steps, 'flash', quiet);
  t.deepEqual(ran, ['flash']);
  t.deepEqual(made, [
    { name: 'image', status: 'was-done' },
    { name: 'flash', status: 'done' },
  ]);
});

test('a step that fails ends it; the same words go on there', async (t) => {
  const ran: string[] = [];
  const done = new Set<string>();
  const names: StepName[] = ['image', 'flash', 'configure'];
  const steps = names.map((name) => step(name, ran, done));
  const { run } = steps[1];
  steps[1].run = async () => Promise.reject(new Error('drive gone'));
  await t.throwsAsync(makeKit(steps, 'label', quiet), { message: 'drive gone' });
  steps[1].run = run;
  await makeKit(steps, 'label', quiet);
  t.deepEqual(ran, ['image', 'flash', 'configure']);
});

test('what would stop a later step for certain is said before the first runs', async (t) => {
  const ran: string[] = [];
  const done = new Set<string>();
  const names: StepName[] = ['image', 'flash', 'configure'];
  const steps = names.map((name) => step(name, ran, done));
  steps[1].preflight = async () => Promise.reject(new Error('no drive'));
  await t.throwsAsync(makeKit(steps, 'configure', quiet), { message: 'no drive' });
  t.deepEqual(ran, []);
  await makeKit(steps, 'image', quiet);
  done.add('flash');
  await makeKit(steps, 'configure', quiet);
  t.deepEqual(ran, ['image', 'configure'], 'asked only of what is to be done');
});

function step(name: StepName, ran: string[], done = new Set<string>()): MakeStep {
  return {
    name,
    isDone: async () => (done.has(name) ? 'done' : undefined),
    async run() {
      ran.push(name);
      done.add(name);
    },
  };
}
