import test from 'ava';
import { emptyRecord } from '../../../firmware/wire.ts';
import { countersAt, pointsBetween, zeroMark } from '../../../ledger/ask/curve.ts';
import type { NodeStatus } from '../../../ledger/ask/node.ts';
import { unreportedS, upShare } from '../../../ledger/page/state.ts';

/** Up for 900 s, then an hour in which nothing was told. */
const marks = [zeroMark(0), { ...emptyRecord(), atS: 900, uptimeS: 900, upS: 900 }];
const [total] = pointsBetween([0, 4500], (atS) => countersAt(marks, atS));
const status = (parts: Partial<NodeStatus>): NodeStatus => ({
  state: 'up', sinceS: null, powerMilliW: null, total, diskUsedBytes: null, publishedUntilS: 900, ...parts,
});

test('what is not told yet counts for nothing while batches arrive', (t) => {
  t.is(unreportedS(total, status({})), 3600);
  t.is(upShare(total, status({})), 1);
  t.is(upShare(total, status({ state: 'reporting' })), 1);
});

test('silence counts, and is not up', (t) => {
  t.is(unreportedS(total, status({ state: 'silent' })), 0);
  t.is(upShare(total, status({ state: 'silent' })), 0.2);
  t.is(upShare(total, status({ state: 'revoked' })), 0.2);
});

test('of a node that told nothing no share is said', (t) => {
  const [nothing] = pointsBetween([0, 4500], (atS) => countersAt([zeroMark(0)], atS));
  t.is(upShare(nothing, status({ state: 'new', publishedUntilS: null })), null);
});
