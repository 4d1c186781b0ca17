// The leaflet's file and the word on it: the same secrets each time, for its owner's eyes alone.

import test, { type ExecutionContext } from 'ava';
import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';

import { ownerPublicKey } from '../../../provisioner/campaign/owner-key.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { leafletFacts, leafletPath, printLeaflet, refuseOtherWord } from '../../../provisioner/handover/print.ts';
import { readRecoveryCode } from '../../../provisioner/handover/recovery-code.ts';
import { makeBench, seededRandom, type TestBench } from '../../helpers/bench.ts';

async function open(t: ExecutionContext): Promise<TestBench> {
  const bench = await makeBench();
  t.teardown(bench.remove);
  return { ...bench, campaign: { ...bench.campaign, image: 'snac' } };
}

test('printed again, it has the same secrets; nobody else may read the file', async (t) => {
  const bench = await open(t);
  const [alice] = bench.campaign.kits;
  const means = (seed: string) => ({
    ...{ folder: bench.dir, random: seededRandom(seed), now: () => bench.clock.nowMs },
  });
  const first = await printLeaflet(alice, bench, means('first'));
  const again = await printLeaflet(alice, bench, means('again'));
  t.deepEqual(again, first);
  t.is(first.secrets.recoveryCodes.length, 8);
  t.true(first.secrets.recoveryCodes.every((code) => readRecoveryCode(code) === code));
  t.is(statSync(first.file).mode & 0o777, 0o600);
  t.deepEqual(first.notices, []);
});

test('a language that nobody has written is said, and it is English', async (t) => {
  const bench = await open(t);
  const means = { folder: bench.dir, random: seededRandom('x'), now: () => 0 };
  const printed = await printLeaflet({ ...bench.campaign.kits[0], language: 'eo' }, bench, means);
  t.regex(printed.notices.join(), /“eo”.*English/);
});

test('the owner’s key is printed where the ledger knows it; otherwise its lack is said', async (t) => {
  const bench = await open(t);
  const [alice] = bench.campaign.kits;
  const words = await bench.secrets.ownerKey(alice);
  const printed = async () => {
    const means = { folder: bench.dir, random: seededRandom('x'), now: () => 0 };
    const { file, notices } = await printLeaflet(alice, bench, means);
    const text = execFileSync('pdftotext', ['-layout', file, '-'], { encoding: 'utf8' });
    return { hasKey: text.includes(words), notices: notices.join() };
  };
  t.deepEqual(await printed(), { hasKey: false, notices: '' }, 'without a meter there is nothing to ask about');
  const meter = '0123456789abcdef';
  bench.record.done('alice', 'pair', { meter });
  const before = await printed();
  t.false(before.hasKey, 'paired before there were such keys');
  t.regex(before.notices, /enrolled without an owner’s key/);
  bench.record.done('alice', 'pair', { meter, ownerKey: 'ab'.repeat(32) });
  t.regex((await printed()).notices, /without/, 'another key than the one at the bench');
  const ownerKey = Buffer.from(ownerPublicKey(words)).toString('hex');
  bench.record.done('alice', 'pair', { meter, ownerKey });
  t.deepEqual(await printed(), { hasKey: true, notices: '' });
});

test('a FreedomBox’s first login is its own; the fediverse server’s page is told beside it', async (t) => {
  const bench = await open(t);
  const campaign = { ...bench.campaign, image: 'freedombox' };
  const facts = leafletFacts(campaign.kits[0], { ...bench, campaign });
  t.is(facts.loginAddress, 'https://alice.test/plinth/');
  t.is(facts.addresses, 'alice.test/plinth/, alice.test/social/alice/admin');
});

test('a page that tells how the node is, and a browser’s warning, are told where they are met', async (t) => {
  const bench = await open(t);
  const factsOf = (changed: object) => {
    const campaign = { ...bench.campaign, ...changed };
    return leafletFacts(campaign.kits[0], { ...bench, campaign });
  };
  t.like(factsOf({}), { healthPage: 'http://alice:8010/', isKnownToBrowsers: false });
  t.like(factsOf({ image: 'freedombox' }), { healthPage: undefined, isKnownToBrowsers: false });
  t.true(factsOf({ acme: { directory: 'https://acme.test/' } }).isKnownToBrowsers);
});

test('the word may be typed as people type; another is refused', (t) => {
  const secrets = { recoveryCodes: [], printWord: 'mumon' };
  t.notThrows(() => refuseOtherWord(' Mumon\n', secrets, 'x.pdf'));
  for (const typed of ['', 'mumom', 'mumon mumon']) {
    const error = t.throws(() => refuseOtherWord(typed, secrets, 'x.pdf'), { instanceOf: KitError });
    t.is(error.code, 'leaflet-unread');
    t.false(error.message.includes('mumon') || String(error.got).includes('mumom'));
  }
});

test('what was erased is gone, is never made anew, and may be erased again', async (t) => {
  const bench = await makeBench();
  t.teardown(bench.remove);
  const [alice, bob] = bench.campaign.kits;
  await bench.secrets.kit(alice);
  await bench.secrets.kit(bob);
  t.false(await bench.secrets.isErased(alice));
  await bench.secrets.erase(alice);
  await bench.secrets.erase(alice);
  t.true(await bench.secrets.isErased(alice));
  t.false(existsSync(`${bench.dir}/secrets/alice.age`));
  const error = await t.throwsAsync(bench.secrets.kit(alice), { instanceOf: KitError });
  t.is(error.code, 'kit-handed-over');
  t.regex(error.hint!, /another name/);
  await t.notThrowsAsync(bench.secrets.kit(bob));
  t.is(leafletPath(alice, '/x'), '/x/alice.leaflet.pdf');
});
