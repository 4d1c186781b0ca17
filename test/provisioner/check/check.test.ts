// All checks of a kit together, where nothing answers: none throws, none is skipped, none claims
// what it did not see, and each says what to do.

import test from 'ava';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';

import { checkKit, verdict } from '../../../provisioner/check/check.ts';
import { humanOf } from '../../../provisioner/check/command.ts';
import type { Connect } from '../../../provisioner/node/connection.ts';
import { campaignText, makeBench } from '../../helpers/bench.ts';

const names = [
  ...['login', 'clock', 'disk', 'root-grown', 'first-boot', 'secrets-gone', 'firewall', 'services'],
  ...['time-server', 'power-cut', 'running', 'drive-speed', 'drive-health', 'backup', 'configured'],
  ...['tls', 'webfinger', 'actor', 'nodeinfo', 'ports', 'public-name', 'counters', 'relay'],
  ...['meter', 'meter-plausible', 'ledger-entry', 'signed-fetch', 'federation', 'delivery'],
];

async function deaf(): Promise<Connect> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return () => connect(port, '127.0.0.1');
}

const cases = ['snac', 'freedombox'].flatMap((image) => (
  ['an account', 'another kit'].map((peer) => ({ image, peer }))
));
for (const { image, peer } of cases) {
  test(`a ${image} node that does not answer, tried with ${peer}, is unfit, and every check says why`, async (t) => {
    const bench = await makeBench(campaignText.replace('"tiny"', `"${image}"`));
    t.teardown(() => bench.remove());
    const { campaign, record, secrets } = bench;
    const [alice, bob] = campaign.kits;
    const bobs = { campaign: await secrets.campaign(), kit: await secrets.kit(bob) };
    const said: string[] = [];
    const checks = await checkKit(alice, {
      ...{ campaign, record, connect: await deaf(), now: () => bench.clock.nowMs },
      secrets: { campaign: await secrets.campaign(), kit: await secrets.kit(alice) },
      peer: peer === 'an account' ? { account: '@bob@bob.test' } : { kit: bob, secrets: bobs },
      report: (text) => said.push(text),
    });
    t.deepEqual(checks.map(({ name }) => name), names);
    t.deepEqual(checks.filter(({ ok }) => ok), []);
    t.deepEqual(checks.filter(({ advice, measured }) => advice === '' || measured === ''), []);
    const { fit, failed } = verdict(checks);
    t.false(fit);
    t.regex(humanOf('alice', checks), new RegExp(`alice is not fit: ${failed} failed, `));
    t.true(said.every((text) => text.startsWith('alice: ')));
  });
}

test('a kind that nobody has taught kit is refused at once', async (t) => {
  const bench = await makeBench();
  t.teardown(() => bench.remove());
  const { campaign, record, secrets } = bench;
  const [alice] = campaign.kits;
  const asked = checkKit(alice, {
    ...{ campaign, record, connect: await deaf(), now: () => bench.clock.nowMs },
    secrets: { campaign: await secrets.campaign(), kit: await secrets.kit(alice) },
  });
  t.like(await t.throwsAsync(asked), { code: 'kind-unknown' });
});
