// Whether the meter's readings fit the node's own account: a meter at another machine is found.

import test from 'ava';

import type { NodeAnswer } from '../../../provisioner/check/ledger.ts';
import { judgePlausible, type NodeAccount } from '../../../provisioner/check/plausible.ts';

type Changes = {
  machine?: Partial<NodeAccount['machine']>;
  account?: Partial<NodeAccount>;
  measured?: Partial<NodeAnswer['measured']>;
  claimed?: Partial<NodeAnswer['claimed']>;
  rate?: number;
};

const board = { arch: 'aarch64', model: 'Raspberry Pi 4 Model B Rev 1.5' };

function judge(changes: Changes = {}) {
  const account: NodeAccount = {
    machine: { ...board, ...changes.machine },
    ...{ uptimeS: 3600, livedS: 3600 },
    counters: { wanInBytes: 5e6, wanOutBytes: 2e6, diskUsedBytes: 1.5e9 },
    ...changes.account,
  };
  const answer: NodeAnswer = {
    ...{ state: 'up', interval_s: 900 },
    log: { batches: 4, missing_batches: 0, last_index: 9, last_received: null },
    measured: { power_milli_w: 3880, up_s: 3000, ...changes.measured },
    claimed: {
      ...{ wan_in_bytes: 4e6, wan_out_bytes: 2e6, disk_used_bytes: 1.4e9 },
      ...changes.claimed,
    },
  };
  return judgePlausible(answer, account, changes.rate ?? 1);
}

test('readings that fit the node’s own account are plausible', (t) => {
  t.like(judge(), { state: 'ok', measured: '3.88 W, up for 3000 s: fits a Raspberry Pi’s own account' });
});

const faults: [what: string, Changes, measured: RegExp, advice: RegExp][] = [
  ['more watts than a Raspberry Pi takes', { measured: { power_milli_w: 24_000 } },
    /24 W, where a Raspberry Pi draws 1\.2 to 15 W/, /fed through this meter/],
  ['fewer watts than a PC takes',
    { machine: { arch: 'x86_64', model: 'ThinkCentre M75q' }, measured: { power_milli_w: 300 } },
    /0\.3 W, where a PC draws/, /calibration/],
  ['an uptime longer than the node’s life', { measured: { up_s: 90_000 } },
    /up for 90000 s, where the node has lived for 3600 s/, /this very node/],
  ['more traffic than a new node has seen', { claimed: { wan_in_bytes: 80e6 } },
    /82\.0 MB reported, 7\.0 MB counted/, /this very node/],
  ['another node’s disk', { claimed: { disk_used_bytes: 40e9 } },
    /40000\.0 MB of disk reported, 1500\.0 MB used/, /this very node/],
];

for (const [what, changes, measured, advice] of faults) {
  test(`${what} fails`, (t) => {
    const found = judge(changes);
    t.is(found.state, 'failed');
    t.regex(found.measured, measured);
    t.regex(found.advice, advice);
  });
}

test('a clock that runs faster lets the uptime be as much longer', (t) => {
  t.is(judge({ measured: { up_s: 30_000 }, rate: 10 }).state, 'ok');
  t.is(judge({ measured: { up_s: 60_000 }, rate: 10 }).state, 'failed');
});

test('traffic is compared only in a node’s first life: counters begin anew at each start', (t) => {
  const lived = { account: { livedS: 90_000 }, measured: { up_s: 80_000 } };
  t.is(judge({ ...lived, claimed: { wan_in_bytes: 80e6 } }).state, 'ok');
});

test('what cannot be compared is unknown, never plausible', (t) => {
  const none = { wan_in_bytes: null, wan_out_bytes: null, disk_used_bytes: null };
  t.is(judge({ measured: { power_milli_w: null }, claimed: none }).state, 'unknown');
  const answer = { measured: { power_milli_w: 1, up_s: 1 }, claimed: none } as NodeAnswer;
  t.is(judgePlausible(answer, undefined, 1).state, 'unknown');
});
