// When a kit may be handed over, and what is left of a hand-over that was cut off in its last step.
// All of it, on a real system and cut off anywhere: `npm run test:node`.

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { KitError } from '../../../provisioner/errors.ts';
import { finishErasing, refuseUnready } from '../../../provisioner/handover/handover.ts';
import { printLeaflet } from '../../../provisioner/handover/print.ts';
import { makeBench, seededRandom, type TestBench } from '../../helpers/bench.ts';

async function open(t: ExecutionContext): Promise<TestBench> {
  const bench = await makeBench();
  t.teardown(bench.remove);
  return { ...bench, campaign: { ...bench.campaign, image: 'snac' } };
}

test('only a check that passed, with nothing changed since, makes a kit ready', async (t) => {
  const bench = await open(t);
  const [alice] = bench.campaign.kits;
  const refusal = (reason?: string): string | undefined => {
    try {
      refuseUnready(alice, bench, reason);
      return undefined;
    } catch (error) {
      return (error as KitError).code;
    }
  };
  const { record } = bench;
  t.is(refusal(), 'kit-unproven');
  record.start('alice', 'check');
  t.is(refusal(), 'kit-unproven');
  record.fail('alice', 'check', new Error('no'));
  t.is(refusal(), 'kit-unproven');
  record.done('bob', 'check', {});
  t.is(refusal(), 'kit-unproven');
  for (const step of ['flash', 'configure', 'pair']) {
    record.done('alice', 'check', {});
    t.is(refusal(), undefined);
    record.start('alice', step);
    t.is(refusal(), 'kit-unproven', `${step} after the check`);
  }
  t.is(refusal('its peer is away'), undefined);
});

test('a kind that nobody knows is refused, whatever the reason', async (t) => {
  const bench = await open(t);
  const campaign = { ...bench.campaign, image: 'tiny' };
  const error = t.throws(() => refuseUnready(campaign.kits[0], { ...bench, campaign }, 'because'));
  t.is((error as KitError).code, 'kind-unknown');
});

test('cut off within the erasing, the rest is erased and recorded, wherever the leaflet was', async (t) => {
  const bench = await open(t);
  const [alice] = bench.campaign.kits;
  const means = { folder: bench.dir, random: seededRandom('x'), now: () => 0 };
  const { file } = await printLeaflet(alice, bench, means);
  const left = join(bench.dir, 'secrets', '.alice.age.0000.new');
  writeFileSync(left, 'of a writer that was killed');
  bench.record.start('alice', 'handover', { hostKeyFingerprint: 'SHA256:x' });
  // As far as it came: the mark is there, the files are as well.
  writeFileSync(join(bench.dir, 'secrets', 'alice.erased'), '2026-11-26T12:00:00.000Z\n');
  t.true(await finishErasing(alice, bench));
  t.true(await finishErasing(alice, bench));
  for (const path of [file, left, join(bench.dir, 'secrets', 'alice.age')]) t.false(existsSync(path), path);
  t.like(bench.record.latest('alice', 'handover'), {
    status: 'done',
    detail: { hostKeyFingerprint: 'SHA256:x' },
  });
});
