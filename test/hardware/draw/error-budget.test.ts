import test from 'ava';
import { uncertainties } from '../../../hardware/draw/error-budget.ts';

test('a calibrated meter is within 1 % from 2 to 40 W, with every supply that feeds it', (t) => {
  const all = uncertainties();
  t.is(Math.min(...all.map(({ loadMilliW }) => loadMilliW)), 2000);
  t.is(Math.max(...all.map(({ loadMilliW }) => loadMilliW)), 40_000);
  for (const { supply, loadMilliW, expandedPpm } of all) {
    t.true(expandedPpm < 10_000, `${supply} at ${loadMilliW} mW: ${expandedPpm} ppm`);
  }
});

test('2 W at 19 V, reckoned by hand', (t) => {
  const found = uncertainties().find((one) => one.supply === 'barrel 19 V' && one.loadMilliW === 2000)!;
  const term = (name: string): number => found.terms.find((one) => one.name === name)!.boundPpm;
  // 105.26 mA through 10 mΩ are 1052.6 µV; 25 K of 0.1 µV/K are 2.5 µV.
  t.is(Math.round(term('ADC offset, temperature')), 2375);
  t.is(Math.round(term('ADC step, current')), 1188);
  t.is(term('shunt, temperature'), 1250);
  t.is(Math.round(found.sumPpm), 11_938);
  t.is(Math.round(found.expandedPpm), 5415);
});
