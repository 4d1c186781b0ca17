import test from 'ava';
import { emptyRecord } from '../../../firmware/wire.ts';
import { isLoose, placeRecords } from '../../../ledger/ask/place.ts';
import type { Unplaced } from '../../../ledger/ask/place.ts';

const record = (seq: number, parts: Partial<Unplaced>): Unplaced => ({
  ...emptyRecord(), firstSeq: seq, lastSeq: seq, bootId: 1, receivedS: 10_000, entryIndex: 1, ...parts,
});

test('a record that knows the time stands there, after the one before', (t) => {
  const placed = placeRecords([
    record(1, { uptimeS: 900, unixS: 5900, timeState: 2 }),
    record(2, { uptimeS: 1800, unixS: 6800, timeState: 2 }),
  ], null, 900);
  t.deepEqual(placed.map(({ startS, atS, timeSource }) => [startS, atS, timeSource]), [
    [5000, 5900, 'meter'], [5900, 6800, 'meter'],
  ]);
});

test('a record without the time is counted back from a later one of its boot', (t) => {
  const placed = placeRecords([
    record(1, { uptimeS: 900 }), record(2, { uptimeS: 1800, unixS: 6800, timeState: 1 }),
  ], null, 900);
  t.like(placed[0], { startS: 5000, atS: 5900, timeSource: 'boot' });
});

test('without any, receipt bounds it, and it stays loose until its boot is placed', (t) => {
  const [first] = placeRecords([record(1, { uptimeS: 900 })], null, 900);
  t.like(first, { startS: 9100, atS: 10_000, timeSource: 'receipt' });
  t.true(isLoose(first));
  const later = record(2, { uptimeS: 1800, unixS: 10_700, timeState: 2, receivedS: 10_800 });
  t.like(placeRecords([first, later], null, 900)[0], { atS: 9800, timeSource: 'boot' });
});

test('an earlier boot ended before the next began', (t) => {
  const placed = placeRecords([
    record(1, { bootId: 1, uptimeS: 500 }),
    record(2, { bootId: 2, uptimeS: 900, unixS: 8900, timeState: 2 }),
  ], null, 900);
  t.like(placed[0], { atS: 8000, timeSource: 'receipt' });
  t.like(placed[1], { startS: 8000, atS: 8900 });
});

test('a clock that runs ahead or backwards cannot bend the line', (t) => {
  const placed = placeRecords([
    record(1, { uptimeS: 900, unixS: 99_999, timeState: 1 }),
    record(2, { uptimeS: 1800, unixS: 3000, timeState: 1 }),
  ], null, 900);
  t.deepEqual(placed.map(({ atS }) => atS), [10_000, 10_000]);
});
