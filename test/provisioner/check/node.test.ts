import test from 'ava';

import { judgeNode } from '../../../provisioner/check/node.ts';
import type { NodeFacts } from '../../../provisioner/check/node-facts.ts';
import { snacInspection } from '../../../provisioner/node/snac/inspection.ts';

const { units } = snacInspection({});
const asked = { askedMs: 1_000_000_000_000, answeredMs: 1_000_000_003_000 };
const well: NodeFacts = {
  clockMs: asked.askedMs + 1000,
  bootId: '0'.repeat(32),
  disk: { sizeBytes: 29e9, freeBytes: 27e9 },
  partition: { startBytes: 69e6, sizeBytes: 29.9e9, diskBytes: 30e9 },
  firstBoot: { version: '2', appliedAt: '2026-11-23T12:00:00Z', applied: ['hostname'], failed: [] },
  secretsOnEsp: [],
  firewallLoaded: true,
  units: Object.fromEntries(units.map((unit) => [unit, { enabled: true, active: 'active' }])),
};

const judge = (changes: Partial<NodeFacts>) =>
  judgeNode({ ...well, ...changes }, asked, units).filter(({ state }) => state !== 'ok');

test('a node that is well passes every check', (t) => {
  t.deepEqual(judge({}), []);
});

const faults: [string, Partial<NodeFacts>, name: string, measured: RegExp][] = [
  ['a clock 11 s late', { clockMs: asked.askedMs - 11_000 }, 'clock', /at least 11\.0 s late/],
  ['a clock 11 s early', { clockMs: asked.answeredMs + 11_000 }, 'clock', /11\.0 s early/],
  ['a full disk', { disk: { sizeBytes: 29e9, freeBytes: 2e9 } }, 'disk', /2\.0 GB free/],
  [
    'a root that did not grow',
    { partition: { startBytes: 69e6, sizeBytes: 0.6e9, diskBytes: 30e9 } },
    'root-grown',
    /on a drive of 30\.0 GB/,
  ],
  ['no account of the first boot', { firstBoot: undefined }, 'first-boot', /no account/],
  [
    'a setting that failed',
    { firstBoot: { ...well.firstBoot!, failed: [{ setting: 'locale', reason: 'no such' }] } },
    'first-boot',
    /^locale: no such$/,
  ],
  ['a host key left behind', { secretsOnEsp: ['host key'] }, 'secrets-gone', /holds: host key$/],
  ['no firewall', { firewallLoaded: false }, 'firewall', /not loaded/],
  [
    'a dead service',
    { units: { ...well.units, ['snac2.service']: { enabled: true, active: 'failed' } } },
    'services',
    /snac2\.service is failed/,
  ],
];
for (const [about, changes, name, measured] of faults) {
  test(`${about} fails one check, with advice`, (t) => {
    const [check, ...others] = judge(changes);
    t.deepEqual(others, []);
    t.like(check, { name, state: 'failed', ok: false });
    t.regex(check.measured, measured);
    t.true(check.advice.length > 10);
  });
}

test('what cannot be seen is unknown, and not ok', (t) => {
  t.like(judge({ secretsOnEsp: undefined })[0], { name: 'secrets-gone', state: 'unknown', ok: false });
  t.like(judge({ partition: undefined })[0], { name: 'root-grown', state: 'unknown', ok: false });
});

test('a node that obtains its certificate by itself must have the timer that does', (t) => {
  const { units: wanted } = snacInspection({ acme: { directory: 'https://acme.test/dir' } });
  t.deepEqual(wanted.filter((unit) => !units.includes(unit)), ['commons-certificate.timer']);
});
