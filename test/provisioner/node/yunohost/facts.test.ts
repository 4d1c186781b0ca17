// What commands print on a YunoHost 12.1.

import { yunohostFacts } from '../../../../provisioner/node/yunohost/facts.ts';
import { testFacts } from '../golden.ts';
import { desired } from './toy-node.ts';

testFacts('yunohost-facts', yunohostFacts(['/etc/a'], desired));
