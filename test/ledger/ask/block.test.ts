import test from 'ava';
import { emptyRecord } from '../../../firmware/wire.ts';
import { packRecords, unpackRecords } from '../../../ledger/ask/block.ts';
import type { RecordRow } from '../../../ledger/ask/schema.ts';
import { createReader } from '../../../ledger/ask/read.ts';
import { chance, settle } from './homes.ts';

const START_S = Date.parse('2027-03-01T00:00:00Z') / 1000;

/** Every field by chance: small, large, or as the one before. */
function anyRecord(random: () => number, last: RecordRow | undefined): RecordRow {
  const record: RecordRow = {
    ...emptyRecord(), startS: 0, atS: 0, stoodS: 0, receivedS: 0, entryIndex: 0,
    timeSource: (['meter', 'boot', 'receipt'] as const)[Math.floor(random() * 3)],
  };
  for (const [name, value] of Object.entries(record)) {
    if (typeof value !== 'number') continue;
    const kind = random();
    const fresh = kind < 0.4
      ? Math.floor(random() * 200)
      : Math.floor(random() * Number.MAX_SAFE_INTEGER);
    Object.assign(record, { [name]: kind > 0.7 && last !== undefined
      ? last[name as 'atS'] : kind > 0.65 ? Number.MAX_SAFE_INTEGER : fresh });
  }
  return record;
}

test('unpacking gives back what was packed, whatever the records are', (t) => {
  const seed = Date.now() % 2 ** 31;
  t.log(`seed ${seed}`);
  const random = chance(seed);
  for (let round = 0; round < 300; round++) {
    const records: RecordRow[] = [];
    for (let i = 0; i < Math.floor(random() * 12); i++) {
      records.push(anyRecord(random, records.at(-1)));
    }
    t.deepEqual(unpackRecords(packRecords(records)), records);
  }
});

test('a day that goes as days go takes under thirty bytes a record', (t) => {
  const meter = 'a11ce00000000001';
  const home = { meter, enrolledS: START_S, untilS: START_S + 20 * 86_400 };
  const reader = createReader(settle([home]));
  const span = { startS: START_S + 5 * 86_400, endS: START_S + 6 * 86_400 };
  const records = reader.book(reader.meter(meter)!).touching(span);
  t.is(records.length, 96);
  t.true(packRecords(records).length < 30 * records.length);
});
