import { yunohost } from '../../../../provisioner/node/yunohost/plan.ts';
import { testPlans } from '../golden.ts';
import { afterSteps, desired, freshFacts } from './toy-node.ts';

testPlans('yunohost-plan', yunohost, { desired, freshFacts, afterSteps });
