// The self-test against its sources, and what becomes of a meter whose machine errs.
import test from 'ava';
import { createHash, createHmac, hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import '../helpers/firmware.ts';
import { createLoneMeter } from '../helpers/lone-meter.ts';
import type { Edge } from '../../firmware/meter.ts';

const { FLAG } = await import('../../firmware/wire.ts');

const FLIPS: Record<string, (edge: Edge) => Edge> = {
  hash: (edge) => ({ ...edge, sha256: (pieces) => flipped(edge.sha256(pieces)) }),
  tag: (edge) => ({ ...edge, hmac: (key, bytes) => flipped(edge.hmac(key, bytes)) }),
  chain: (edge) => ({
    ...edge,
    hashInto(out, at, n, a, b) {
      edge.hashInto(out, at, n, a, b);
      // One chain's step in two thousand.
      if (a.length === 47 && a[22] === 200) out[at] ^= 1;
    },
  }),
};

test('the expected values are those of Node and of RFC 9858', (t) => {
  const source = readFileSync(new URL('../../firmware/selftest.ts', import.meta.url), 'utf8');
  const { cases } = JSON.parse(
    readFileSync(new URL('../vectors/lms.json', import.meta.url), 'utf8'),
  ) as { cases: { name: string; signature: string }[] };
  const a1 = cases.find(({ name }) => name.startsWith('RFC 9858 A.1'))!;
  // u32 Nspk before the LMS signature; q, type, C and 26 chains of 24 bytes before the path.
  const oneTime = Buffer.from(a1.signature, 'hex').subarray(4, 4 + 8 + 24 * 27);
  const data = 'what do ya want for nothing?';
  for (const digest of [
    hash('sha256', 'abc'), createHmac('sha256', 'Jefe').update(data).digest('hex'),
    createHash('sha256').update(oneTime).digest('hex'),
  ]) t.true(source.includes(`'${digest}'`), digest);
});

for (const [what, bend] of Object.entries(FLIPS)) {
  test.serial(`a wrong ${what}: measured and kept, nothing signed, and it says so`, async (t) => {
    const meter = createLoneMeter({ seed: 1, bend });
    meter.powerOn();
    await meter.run(30);
    t.is(meter.words(), 'self-test failed');
    t.is(meter.ledger.posted.length, 0);
    t.false(meter.lines.some((line) => line.startsWith('enrol')), 'a statement was signed');
    const { journal, ring } = meter.meter()!;
    t.is(journal.keys.key, null);
    const records = await ring.readFrom(1, 99);
    t.true(records.length >= 4);
    t.true(records.every(({ flags }) => Math.floor(flags / FLAG.unsound) % 2 === 1));
    t.true(records.at(-1)!.energyMicroWh > 0);
  });
}

test.serial('a machine that is right again signs', async (t) => {
  let errs = true;
  const bend = (edge: Edge): Edge => ({
    ...edge, sha256: (pieces) => (errs ? flipped(edge.sha256(pieces)) : edge.sha256(pieces)),
  });
  const meter = createLoneMeter({ seed: 1, bend, timesS: [900, 3600, 900] });
  meter.powerOn();
  await meter.run(60);
  errs = false;
  await meter.run(2 * 3_600);
  t.true(meter.ledger.records.length > 0);
  t.not(meter.words(), 'self-test failed');
});

function flipped(bytes: Buffer): Buffer {
  const wrong = Buffer.from(bytes);
  wrong[7] ^= 4;
  return wrong;
}
