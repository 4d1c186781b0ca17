// What may come back at this bench, as it knows the kit: whole, handed over, retired, or not at all.
// All of it on a node: restore.root.test.ts, and handed over and cut off on a booted one:
// `npm run test:node`.

import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import type { KitError } from '../../../provisioner/errors.ts';
import { homeText, openHome } from '../../../provisioner/restore/restore.ts';
import { generationName, hostKey, makeGeneration, members } from '../../helpers/backup.ts';
import { campaignText, makeBench, type TestBench } from '../../helpers/bench.ts';

async function open(t: ExecutionContext, image = 'snac'): Promise<TestBench & { stick: string }> {
  const bench = await makeBench(campaignText.replace('"tiny"', `"${image}"`));
  t.teardown(bench.remove);
  const stick = join(bench.dir, 'stick');
  makeGeneration(join(stick, 'commons-kit'));
  return { ...bench, stick };
}

/** The erasing of a hand-over, as the bench remembers it. */
function handOver(bench: TestBench): void {
  bench.record.done('alice', 'flash', { hostKeyFingerprint: hostKey.fingerprint });
  bench.record.done('alice', 'handover', {});
}

test('one that was handed over is its owner’s again', async (t) => {
  const bench = await open(t);
  const [alice] = bench.campaign.kits;
  handOver(bench);
  await bench.secrets.erase(alice);
  const home = await openHome(alice, bench.stick, bench);
  t.true(home.owners);
  t.is(home.kept, undefined);
  t.deepEqual(home.identity.sshHostKey, hostKey);
});

test('a bench that has lost its memory makes no secrets for it', async (t) => {
  const bench = await open(t);
  const [alice] = bench.campaign.kits;
  t.true((await openHome(alice, bench.stick, bench)).owners);
  t.false(existsSync(join(bench.dir, 'secrets', 'alice.age')));
  makeGeneration(join(bench.stick, 'commons-kit'), { changes: { once: ['owner-alice'] } });
  t.false((await openHome(alice, bench.stick, bench)).owners);
});

test('one that the bench still has keeps the bench’s own secrets', async (t) => {
  const bench = await open(t);
  const [alice] = bench.campaign.kits;
  const kept = await bench.secrets.kit(alice);
  const [, ...rest] = members()['identity'] as { path: string }[];
  const own = { ...rest[0], path: '/etc/ssh/ssh_host_ed25519_key' };
  const content = Buffer.from(kept.sshHostKey.privatePem).toString('base64');
  const changes = { identity: [{ ...own, content }, ...rest], once: ['owner-alice'] };
  makeGeneration(join(bench.stick, 'commons-kit'), { changes });
  const home = await openHome(alice, bench.stick, bench);
  t.false(home.owners);
  t.deepEqual(home.kept, kept);
});

const refusals: [about: string, prepare: (bench: TestBench) => unknown, code: string][] = [
  ['of another node of that name', ({ secrets, campaign }) => secrets.kit(campaign.kits[0]), 'backup-wrong-kit'],
  ['of another node than was written last',
    ({ record }) => record.done('alice', 'flash', { hostKeyFingerprint: 'SHA256:x' }), 'backup-wrong-kit'],
  ['of a retired kit', ({ record }) => record.done('alice', 'retire', {}), 'kit-retired'],
  ['from before the hand-over', async (bench) => {
    handOver(bench);
    await bench.secrets.erase(bench.campaign.kits[0]);
    makeGeneration(join(bench.dir, 'stick/commons-kit'), { changes: { once: ['owner-alice'] } });
  }, 'backup-before-handover'],
  ['with an archive gone', ({ dir }) => rmSync(join(dir, 'stick/commons-kit', generationName, '1.tar.zst')), 'backup-torn'],
];

for (const [about, prepare, code] of refusals) {
  test(`${about}: ${code}, and nothing changed`, async (t) => {
    const bench = await open(t);
    await prepare(bench);
    const before = [readdirSync(bench.dir, { recursive: true }).sort(), bench.record.history('alice')];
    const error = await t.throwsAsync<KitError>(openHome(bench.campaign.kits[0], bench.stick, bench));
    t.is(error!.code, code);
    t.truthy(error!.expected && error!.got && error!.hint);
    t.deepEqual([readdirSync(bench.dir, { recursive: true }).sort(), bench.record.history('alice')], before);
  });
}

test('a FreedomBox comes back too, without what was added to it', async (t) => {
  const bench = await open(t, 'freedombox');
  const [alice] = bench.campaign.kits;
  const strange = await t.throwsAsync<KitError>(openHome(alice, bench.stick, bench));
  t.is(strange!.code, 'backup-other-kind');
  makeGeneration(join(bench.stick, 'commons-kit'), { changes: { kind: 'freedombox' } });
  const home = await openHome(alice, bench.stick, bench);
  t.true(home.owners);
  t.regex(homeText(home, bench.clock.nowMs), /Not in any backup: applications added to FreedomBox/);
});

test('says what comes back, from when, and what is lost', async (t) => {
  const bench = await open(t);
  const home = await openHome(bench.campaign.kits[0], bench.stick, bench);
  const madeAtMs = home.generation.backup.madeAtS * 1000;
  const text = homeText(home, madeAtMs + 20 * 3_600_000);
  t.regex(text, /^alice \(snac, alice\.test\) comes back as it was at 2026-11-23 03:30 UTC, 20 h ago:\n {2}2 archives/);
  t.regex(text, /Lost is what happened on it since/);
  t.regex(homeText(home, madeAtMs + 60_000), /less than an hour ago/);
  t.regex(homeText(home, madeAtMs + 20 * 86_400_000), /20 days ago/);
  t.regex(homeText(home, madeAtMs - 86_400_000), /a clock that was ahead/);
});

test('no backup at the path, or none that may be read', async (t) => {
  const bench = await open(t);
  const [alice] = bench.campaign.kits;
  const file = join(bench.dir, 'file');
  writeFileSync(file, '');
  for (const path of [file, join(bench.dir, 'none'), bench.dir]) {
    t.is((await t.throwsAsync<KitError>(openHome(alice, path, bench)))!.code, 'backup-missing');
  }
});
