// `kit check` of a YunoHost node, as far as it looks from within: what it finds right, and what the
// node's own diagnosis tells it.

import test from 'ava';

import { checkNode } from '../../../../provisioner/check/node.ts';
import { reach } from '../../../../provisioner/node/configure.ts';
import { addressOf, inspectionOf } from '../../../../provisioner/node/kinds.ts';
import { makeYunohostNode } from '../../../helpers/yunohost-node.ts';

test('a configured node is looked at, and a fault is told', async (t) => {
  const node = await makeYunohostNode(t);
  await node.configure();
  const { kit, campaign, secrets, machine } = node;
  const look = async () => {
    const address = { ...addressOf(kit, secrets), host: machine.address };
    const connection = await reach(address, { kit: kit.name });
    const inspection = inspectionOf(campaign);
    try {
      const deps = { secrets, inspection, now: Date.now, why: undefined };
      const { checks } = await checkNode(connection, deps);
      return Object.fromEntries(checks.map((check) => [check.name, check]));
    } finally {
      connection.close();
    }
  };
  const first = await look();
  for (const name of ['login', 'clock', 'firewall', 'services', 'backup']) {
    t.is(first[name]?.state, 'ok', `${name}: ${JSON.stringify(first[name] ?? first)}`);
  }
  t.like(first['diagnosis'], { state: 'failed', measured: 'services: Service dovecot is failed :(' });
  t.regex(first['diagnosis'].advice, /systemctl --failed/);

  machine.shell('nft flush ruleset; systemctl stop snac');
  const second = await look();
  t.is(second['firewall'].state, 'failed');
  t.regex(second['services'].measured, /snac\.service is inactive/);
});
