import { freedombox } from '../../../../provisioner/node/freedombox/plan.ts';
import { testPlans } from '../golden.ts';
import { afterSteps, desired, freshFacts } from './toy-node.ts';

testPlans('freedombox-plan', freedombox, { desired, freshFacts, afterSteps });
