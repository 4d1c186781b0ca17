// Retirements as a volunteer signs them: taken, and refused for each thing that can be wrong.

import test from 'ava';
import fc from 'fast-check';
import { verifyRetirement } from '../../../ledger/verify/retirement.ts';
import { createMeter, createVolunteer } from '../../helpers/meter.ts';
import { retirementBytes } from '../../helpers/retirement.ts';

const ORIGIN = 'ledger.test/commons';
const ALICE = createVolunteer('alice');
const { id } = createMeter('alice');
const good = retirementBytes(ALICE, id);

test('a retirement says whose, and by whom', (t) => {
  const { meterId, volunteerKey } = verifyRetirement(good, ORIGIN);
  t.deepEqual(Buffer.from(meterId), Buffer.from(id));
  t.deepEqual(Buffer.from(volunteerKey), Buffer.from(ALICE.publicKey));
});

type Change = (map: Map<number, unknown>) => void;
const changed = (change: Change): Uint8Array => retirementBytes(ALICE, id, { change });
const REFUSED: [why: string, code: string, bytes: Uint8Array][] = [
  ['another ledger’s', 'bad-retirement', retirementBytes(ALICE, id, { origin: 'other.test/log' })],
  ['another context', 'bad-retirement', changed((map) => map.set(1, 'commons-kit/price'))],
  ['no meter id', 'malformed-retirement', changed((map) => map.set(3, 'alice'))],
  ['a short meter id', 'malformed-retirement', changed((map) => map.set(3, id.slice(1)))],
  ['a member more', 'malformed-retirement', changed((map) => map.set(4, 1))],
  ['a member less', 'malformed-retirement', changed((map) => map.delete(3))],
  ['another key’s signature', 'bad-retirement',
    retirementBytes({ ...createVolunteer('bob'), publicKey: ALICE.publicKey }, id)],
  ['too large', 'malformed-retirement', new Uint8Array(513)],
  ['nothing', 'malformed-retirement', new Uint8Array(0)],
  ['a trailing byte', 'malformed-retirement', Uint8Array.of(...good, 0)],
];
for (const [why, code, bytes] of REFUSED) {
  test(`refused: ${why}`, (t) => {
    t.is((t.throws(() => verifyRetirement(bytes, ORIGIN)) as { code?: string }).code, code);
  });
}

test('a changed byte is never taken for a retirement by the same volunteer', (t) => {
  const seed = Date.now() % 2 ** 31;
  t.log(`seed ${seed}`);
  fc.assert(fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
    const bytes = good.map((byte, i) => (i === at ? byte ^ change : byte));
    const { code } = t.throws(() => verifyRetirement(bytes, ORIGIN)) as { code?: string };
    t.regex(code!, /retirement$/);
  }), { seed });
});
