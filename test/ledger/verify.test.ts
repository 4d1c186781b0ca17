// Spoilt inputs to every reader of strangers' bytes: a few here, ten million in `npm run fuzz`.

import test from 'ava';
import { fuzz } from '../helpers/fuzz.ts';
import { createLargeLog } from '../helpers/large-log.ts';
import { chance } from './ask/homes.ts';

test('no spoilt input crashes a reader, or is written otherwise than it was read', async (t) => {
  const seed = Date.now() % 2 ** 31;
  t.log(`seed ${seed}`);
  const taken = fuzz(await createLargeLog(2, 100), 22_000, chance(seed));
  // Some spoilt inputs are good ones: otherwise nothing was compared.
  for (const name of ['entry', 'bundle', 'note', 'proof', 'witness request', 'tile path']) {
    t.true(taken[name] > 0, name);
  }
});
