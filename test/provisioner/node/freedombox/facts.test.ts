// What commands print on a FreedomBox 25.9.

import { freedomboxFacts } from '../../../../provisioner/node/freedombox/facts.ts';
import { testFacts } from '../golden.ts';
import { desired } from './toy-node.ts';

testFacts('freedombox-facts', freedomboxFacts(['/etc/a'], desired));
