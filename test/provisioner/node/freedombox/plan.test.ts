import test from 'ava';

import type { FreedomboxDesired } from '../../../../provisioner/node/freedombox/desired.ts';
import type { FreedomboxFacts } from '../../../../provisioner/node/freedombox/facts.ts';
import { freedombox } from '../../../../provisioner/node/freedombox/plan.ts';
import { testPlans } from '../golden.ts';
import { afterSteps, desired, freshFacts } from './toy-node.ts';

testPlans<FreedomboxDesired, FreedomboxFacts>('freedombox-plan', freedombox, { desired, freshFacts, afterSteps });

const { ownerPassphrase: _, ...home } = desired;
const whole = (): FreedomboxFacts => afterSteps(freshFacts(), freedombox.plan(desired, freshFacts()));

test('what came back from a backup is never made anew', (t) => {
  t.deepEqual(freedombox.plan(home, whole()), []);
  const { [`freedombox-${desired.owner}`]: _mark, ...stamps } = whole().stamps;
  const lost: [Partial<FreedomboxFacts>, code: string][] = [
    [{ stamps }, 'owner-secrets-unknown'],
    [{ users: {} }, 'account-damaged'],
  ];
  for (const [changes, code] of lost) {
    t.like(t.throws(() => freedombox.plan(home, { ...whole(), ...changes })), { code });
  }
});

test('a home whose owner has told FreedomBox another domain comes back with it', (t) => {
  const facts = whole();
  const moved = { ...facts, freedombox: { ...facts.freedombox, domains: ['alice.example'] } };
  t.deepEqual(freedombox.plan(home, moved), []);
  t.is(freedombox.plan(desired, moved).length, 1);
});
