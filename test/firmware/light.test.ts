// The meter's light: what it says of a meter, and each sign as a picture of ten seconds, in
// test/firmware/cases. `UPDATE_CASES=1 npx ava test/firmware/light.test.ts` draws it anew.
import test from 'ava';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import '../helpers/firmware.ts';
import type { Seen } from '../../firmware/light.ts';

const { CYCLE_STEPS, isLit, SIGN, signOf, STEP_MS } = await import('../../firmware/light.ts');

const well: Seen = { reach: 1, ackedAgoS: 754, notice: '', fault: false };
const signs = Object.entries(SIGN);

test('a sign for each face', (t) => {
  const worst = { reach: 2, ackedAgoS: -1, notice: 'no power reading', fault: true };
  const sign = (seen: Partial<Seen>, reporting = false): number => signOf({ ...well, ...seen }, reporting);
  t.is(sign(worst, true), SIGN.trouble);
  t.is(sign({ fault: true, notice: 'memory is silent' }), SIGN.trouble);
  t.is(sign({ reach: 2 }, true), SIGN.trouble);
  t.is(sign({ notice: 'ledger is silent' }, true), SIGN.reporting);
  t.is(sign({}, true), SIGN.reporting);
  t.is(sign({ notice: 'not paired', reach: 0, ackedAgoS: -1 }), SIGN.waiting);
  t.is(sign({ notice: 'ledger is silent' }), SIGN.waiting);
  t.is(sign({ reach: 0 }), SIGN.waiting);
  t.is(sign({ ackedAgoS: -1 }), SIGN.waiting);
  t.is(sign({}), SIGN.well);
});

test('rhythms, ten seconds of each', (t) => {
  const picture = signs
    .map(([name, sign]) => `${name.padEnd(10)}${stepsOf(sign).map((lit) => (lit ? '█' : '·')).join('')}\n`)
    .join('');
  const file = new URL('cases/light.txt', import.meta.url);
  if (process.env.UPDATE_CASES || !existsSync(file)) writeFileSync(file, picture);
  t.is(picture, readFileSync(file, 'utf8'));
});

for (const [name, sign] of signs) {
  test(`${name}: never dark for good, no seizures, and the cycle’s end is not seen`, (t) => {
    const steps = stepsOf(sign);
    t.true(steps.includes(true));
    const flashes = steps.filter((lit, at) => lit && !steps.at(at - 1)).length;
    t.true(flashes / ((CYCLE_STEPS * STEP_MS) / 1000) < 3);
    const twice = Array.from({ length: CYCLE_STEPS }, (_, step) => isLit(sign, step + CYCLE_STEPS));
    t.deepEqual(twice, steps);
  });
}

test('no two signs have the same rhythm', (t) => {
  t.is(new Set(signs.map(([, sign]) => stepsOf(sign).join())).size, signs.length);
});

function stepsOf(sign: number): boolean[] {
  return Array.from({ length: CYCLE_STEPS }, (_, step) => isLit(sign, step));
}
