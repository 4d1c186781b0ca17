import test from 'ava';

import { judgeMeter, type NodeAnswer } from '../../../provisioner/check/ledger.ts';

const nowMs = Date.parse('2026-11-23T12:00:00Z');
const well = { batches: 9, missing_batches: 0, last_received: '2026-11-23T11:50:00Z' };
const judge = (changes: Partial<NodeAnswer['log']>, state = 'up') => {
  const log = { ...well, last_index: 8, ...changes };
  const measured = { power_milli_w: null, up_s: 0 };
  const claimed = { wan_in_bytes: null, wan_out_bytes: null, disk_used_bytes: null };
  const node = { state, interval_s: 900, log, measured, claimed };
  return judgeMeter('00112233aabbccdd', node, nowMs);
};

test('a meter that reports is ok', (t) => {
  t.like(judge({}), {
    state: 'ok',
    measured: '00112233aabbccdd is up: 9 batches, the last 600 s ago, 0 missing',
  });
});

test('silence, a dead node, missing batches, a revoked key and a retired meter fail', (t) => {
  t.is(judge({ last_received: '2026-11-23T09:59:00Z' }).state, 'failed');
  t.is(judge({}, 'down').state, 'failed');
  t.is(judge({ missing_batches: 1 }).state, 'failed');
  t.is(judge({}, 'revoked').state, 'failed');
  t.is(judge({}, 'retired').state, 'failed');
});

test('a meter that has not reported yet is unknown', (t) => {
  t.is(judge({ batches: 0, last_received: null }, 'new').state, 'unknown');
});
