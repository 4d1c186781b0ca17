import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import test from 'ava';
import jsqr from 'jsqr';
import { PNG } from 'pngjs';

import { findKit } from '../../../provisioner/campaign/campaign.ts';
import { drawLabel } from '../../../provisioner/label/draw.ts';
import { makeLabel } from '../../../provisioner/label/label.ts';
import { makeBench } from '../../helpers/bench.ts';

// CommonJS: what Node gives as the default is the module's function itself.
const decode = jsqr as unknown as typeof jsqr.default;

/** The QR codes of a picture, left to right: each is read from its own part. */
function readCodes(png: Buffer): (string | undefined)[] {
  const { width, height, data } = PNG.sync.read(png);
  const middle = Math.round(width * 0.67);
  return [
    [Math.round(width * 0.34), middle],
    [middle, width],
  ].map(([from, to]) => {
    const part = new Uint8ClampedArray((to - from) * height * 4);
    for (let y = 0; y < height; y++) {
      const row = data.subarray((y * width + from) * 4, (y * width + to) * 4);
      part.set(row, y * (to - from) * 4);
    }
    return decode(part, to - from, height)?.data;
  });
}

test('a label says which kit, which meter, which key, in words and in QR codes', async (t) => {
  const bench = await makeBench();
  const alice = findKit(bench.campaign, 'alice');
  const meter = '0123456789abcdef';
  bench.record.done('alice', 'pair', { meter });
  const label = await makeLabel(alice, bench, bench.dir);
  const { fingerprint } = (await bench.secrets.kit(alice)).sshHostKey;
  const png = readFileSync(label.png);
  t.deepEqual(readCodes(png), [`http://ledger.test/node/${meter}`, fingerprint]);
  t.true(drawLabel(label).includes('>supply<'), 'room for the supply’s voltage');
  const pdf = readFileSync(label.pdf);
  t.is(pdf.subarray(0, 5).toString(), '%PDF-');
  t.is(label.pdf, join(bench.dir, 'alice.label.pdf'));
  t.is(bench.record.latest('alice', 'label')?.status, 'done');

  bench.clock.nowMs += 86_400_000;
  await makeLabel(alice, bench, bench.dir);
  t.true(readFileSync(label.png).equals(png), 'the same picture on another day');
  t.true(readFileSync(label.pdf).equals(pdf), 'the same page on another day');
  bench.remove();
});

test('a kit without a meter gets no label', async (t) => {
  const bench = await makeBench();
  const making = makeLabel(findKit(bench.campaign, 'alice'), bench, bench.dir);
  await t.throwsAsync(making, { message: /has no meter yet/ });
  t.throws(() => readFileSync(join(bench.dir, 'alice.label.png')), { message: /ENOENT/ });
  bench.remove();
});
