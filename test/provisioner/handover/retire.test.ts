import { existsSync } from 'node:fs';
import { join } from 'node:path';

import test from 'ava';

import { KitError } from '../../../provisioner/errors.ts';
import { finishErasing } from '../../../provisioner/handover/handover.ts';
import { retireKit, retirementOf, retirementText } from '../../../provisioner/handover/retire.ts';
import { makeBench, type TestBench } from '../../helpers/bench.ts';

const meter = '0123456789abcdef';

function live(bench: TestBench): void {
  const drive = { drive: '/dev/sdx', kind: 'usb', serial: 'S123' };
  bench.record.done('alice', 'flash', drive);
  bench.record.done('alice', 'flash', drive);
  bench.record.done('alice', 'flash', { drive: '/tmp/alice.img', kind: 'file', serial: null });
  bench.record.done('alice', 'pair', { meter });
}

test('what is left to do by hand is said, with names', async (t) => {
  const bench = await makeBench();
  t.teardown(bench.remove);
  const [alice, bob] = bench.campaign.kits;
  live(bench);
  const text = retirementText(alice, retirementOf(alice, bench));
  t.regex(text, /Written for it were: \/dev\/sdx, serial S123; \/tmp\/alice\.img\./);
  t.regex(text, /Meter 0123456789abcdef: no ledger takes a key back/);
  t.regex(text, /still lets the bench in/);
  const bare = retirementText(bob, retirementOf(bob, bench));
  t.notRegex(bare, /Written|Meter|drive/);
  bench.record.done('alice', 'handover', {});
  t.regex(retirementText(alice, retirementOf(alice, bench)), /owner’s posts and keys/);
});

test('a retired kit’s secrets are gone for good, and why is recorded', async (t) => {
  const bench = await makeBench();
  t.teardown(bench.remove);
  const [alice, bob] = bench.campaign.kits;
  live(bench);
  await bench.secrets.kit(alice);
  await bench.secrets.kit(bob);
  await retireKit(alice, bench, 'its drive died');
  t.like(bench.record.latest('alice', 'retire'), {
    status: 'done',
    detail: { meter, reason: 'its drive died' },
  });
  t.false(existsSync(join(bench.dir, 'secrets', 'alice.age')));
  t.like(await t.throwsAsync(bench.secrets.kit(alice), { instanceOf: KitError }), { code: 'kit-handed-over' });
  await t.notThrowsAsync(bench.secrets.kit(bob));
  t.false(await finishErasing(alice, bench), 'retired is not handed over');
  t.is(bench.record.latest('alice', 'handover'), undefined);
  await t.notThrowsAsync(retireKit(alice, bench, undefined), 'said again');
});

test('a kit that never had a secret gets none by retiring', async (t) => {
  const bench = await makeBench();
  t.teardown(bench.remove);
  const [alice] = bench.campaign.kits;
  await retireKit(alice, bench, undefined);
  t.true(await bench.secrets.isErased(alice));
  await t.throwsAsync(bench.secrets.kit(alice), { instanceOf: KitError });
});
