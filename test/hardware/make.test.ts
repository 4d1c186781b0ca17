import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { BUILT, makeHardware } from '../../hardware/make.ts';

test('what lies in hardware/built is what the data gives, byte for byte', async (t) => {
  const made = await makeHardware();
  t.deepEqual(readdirSync(BUILT).sort(), [...made.keys()].sort());
  for (const [name, bytes] of made) {
    t.is(Buffer.compare(readFileSync(join(BUILT, name)), bytes), 0, `${name}: npm run hardware`);
  }
});
