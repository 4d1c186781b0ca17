import { snacFacts } from '../../../../provisioner/node/snac/facts.ts';
import { testFacts } from '../golden.ts';

testFacts('snac-facts', snacFacts(['/etc/a'], { caCertificate: 'an authority' }));
