import test from 'ava';
import { gapsOf, plotFrame, strokeLayer } from '../../../ledger/page/plot.ts';
import type { Stroke } from '../../../ledger/page/plot.ts';

const axes = { fromS: 0, toS: 100, values: [{ at: 0, text: '0 W' }, { at: 10, text: '<10> W' }], times: [] };
const stroke = (startS: number, value: number | null, band = value): Stroke => (
  { startS, endS: startS + 10, value, min: band === null ? null : band - 1, max: band === null ? null : band + 1 }
);

test('a line has one run for each stretch that is known', (t) => {
  const text = String(strokeLayer(axes, [stroke(0, 5), stroke(10, 6), stroke(20, null), stroke(30, 4)]));
  t.true(text.includes('class="line" d="M0 500H100L100 400H200M300 600H400"'));
  t.true(text.includes('class="band" d="M0 400H100L100 300H200L200 500H100L100 600H0Z'));
});

test('a mean without extremes is a line without a band', (t) => {
  const text = String(strokeLayer(axes, [stroke(0, 5, null)]));
  t.true(text.includes('class="band" d=""'));
  t.true(text.includes('class="line" d="M0 500H100"'));
});

test('neighbouring gaps are one, others are apart', (t) => {
  const strokes = [stroke(0, null), stroke(10, null), stroke(20, 1), stroke(30, null)];
  t.deepEqual(gapsOf(strokes, ({ value }) => value !== null), [
    { startS: 0, endS: 20 }, { startS: 30, endS: 40 },
  ]);
});

test('labels are escaped', (t) => {
  const text = String(plotFrame(axes, [], { label: '"quoted" & <b>' }));
  t.true(text.includes('aria-label="&quot;quoted&quot; &amp; &lt;b&gt;"'));
  t.true(text.includes('&lt;10&gt; W'));
});
