import test from 'ava';

import type { YunohostDesired } from '../../../../provisioner/node/yunohost/desired.ts';
import type { YunohostFacts } from '../../../../provisioner/node/yunohost/facts.ts';
import { yunohost } from '../../../../provisioner/node/yunohost/plan.ts';
import { testPlans } from '../golden.ts';
import { afterSteps, desired, freshFacts } from './toy-node.ts';

testPlans<YunohostDesired, YunohostFacts>('yunohost-plan', yunohost, { desired, freshFacts, afterSteps });

test('what came back from a backup is never made anew', (t) => {
  const { ownerPassphrase: _, ...home } = desired;
  const whole = afterSteps(freshFacts(), yunohost.plan(desired, freshFacts()));
  t.deepEqual(yunohost.plan(home, whole), []);
  const { directory } = whole.yunohost;
  const lost: Partial<YunohostFacts>[] = [
    { apps: [] },
    { yunohost: { ...whole.yunohost, directory: { ...directory, people: [] } } },
    { yunohost: { ...whole.yunohost, directory: { ...directory, domains: [] } }, apps: [] },
    { stamps: {} },
  ];
  for (const changes of lost) {
    const error = t.throws(() => yunohost.plan(home, { ...whole, ...changes }));
    t.like(error, { code: 'owner-secrets-unknown' });
  }
});
