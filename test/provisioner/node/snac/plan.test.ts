import test from 'ava';

import type { SnacDesired } from '../../../../provisioner/node/snac/desired.ts';
import type { SnacFacts } from '../../../../provisioner/node/snac/facts.ts';
import { snac } from '../../../../provisioner/node/snac/plan.ts';
import { testPlans } from '../golden.ts';
import { afterSteps, desired, freshFacts } from './toy-node.ts';

testPlans<SnacDesired, SnacFacts>('snac-plan', snac, { desired, freshFacts, afterSteps });

test('an account that came back from a backup is never made anew', (t) => {
  const { ownerPassphrase: _, ...home } = desired;
  const missing: SnacFacts['users'][] = [{}, { alice: false }, { bob: true }];
  for (const users of missing) {
    const error = t.throws(() => snac.plan(home, { ...freshFacts(), users }));
    t.like(error, { code: 'account-damaged' });
  }
  const back = { ...freshFacts(), users: { alice: true }, stamps: { 'owner-alice': 'once' } };
  const server = { ...back.server, host: home.domain, prefix: '' };
  const names = snac.plan(home, { ...back, server }).map(({ name }) => name);
  t.true(names.includes('Start snac with its settings'));
  t.false(names.some((name) => name.startsWith('Make the owner’s account')));
});
