import type { SnacDesired } from '../../../../provisioner/node/snac/desired.ts';
import type { SnacFacts } from '../../../../provisioner/node/snac/facts.ts';
import { snac } from '../../../../provisioner/node/snac/plan.ts';
import { testPlans } from '../golden.ts';
import { afterSteps, desired, freshFacts } from './toy-node.ts';

testPlans<SnacDesired, SnacFacts>('snac-plan', snac, { desired, freshFacts, afterSteps });
