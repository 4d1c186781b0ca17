import { snac } from '../../../../provisioner/node/snac/plan.ts';
import { testPlans } from '../golden.ts';
import { afterSteps, desired, freshFacts } from './toy-node.ts';

testPlans('snac-plan', snac, { desired, freshFacts, afterSteps });
