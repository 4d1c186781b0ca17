import test from 'ava';

import { isSlow } from '../../../provisioner/drive/rate.ts';

test('a drive is slow by what it sustains, not by what it was asked', (t) => {
  t.true(isSlow(430e6, 120));
  t.false(isSlow(430e6, 40));
  t.false(isSlow(9e6, 60), 'too little to judge by');
});
