// A YunoHost handed over as a person would have it done, refused where somebody else would be let in,
// cut off within; then what opens, and what does not any more, by trying. The node is a stand-in for
// YunoHost behind Debian's own sshd (test/helpers/yunohost/), as FACTS says that it behaves.

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import test from 'ava';

import { KitError } from '../../../provisioner/errors.ts';
import { finishErasing, handOverKit } from '../../../provisioner/handover/handover.ts';
import { printLeaflet } from '../../../provisioner/handover/print.ts';
import { openConnection, type NodeAddress } from '../../../provisioner/node/connection.ts';
import { addressOf } from '../../../provisioner/node/kinds.ts';
import { seededRandom } from '../../helpers/bench.ts';
import { makeYunohostNode } from '../../helpers/yunohost-node.ts';
import { useRecoveryCode } from '../../node/recovery.ts';

const codeOf = (done: Promise<unknown>): Promise<string> =>
  done.then(() => 'done', (error: unknown) => {
    if (error instanceof KitError) return error.code;
    throw error;
  });

const login = (address: NodeAddress): Promise<string> =>
  codeOf(openConnection(address).then((connection) => connection.close()));

test('a YunoHost becomes its owner’s, and nobody else’s', async (t) => {
  t.timeout(600_000);
  const node = await makeYunohostNode(t);
  const { bench, machine, secrets } = node;
  await node.configure();
  const kit = { ...node.kit, address: machine.address };
  const address = addressOf(kit, secrets);
  const means = { folder: bench.dir, random: seededRandom('leaflet'), now: Date.now };
  const leaflet = await printLeaflet(kit, bench, means);
  const said: string[] = [];
  const handOver = () => handOverKit(kit, { leaflet, reason: 'a test' }, {
    ...bench, report: (text) => said.push(text),
  });
  const backups = () => machine.shell('commons-backup list').trim().split('\n').length;
  t.is(backups(), 1);

  // What somebody has changed by hand YunoHost leaves as it is, and calls that done.
  const config = machine.read('etc/ssh/sshd_config');
  machine.write('etc/ssh/sshd_config', `${config}# by hand\n`);
  t.is(await codeOf(handOver()), 'yunohost-untrue');
  machine.write('etc/ssh/sshd_config', config);

  const keys = machine.read('root/.ssh/authorized_keys');
  const visitor = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5${'C'.repeat(48)} visitor`;
  machine.write('root/.ssh/authorized_keys', `${keys}${visitor}\n`, 0o600);
  machine.shell(`yunohost user create bob -F Bob -d alice.test -p lusab-babad >/dev/null
yunohost user group add admins bob >/dev/null`);
  const refusal = await t.throwsAsync<KitError>(handOver(), { instanceOf: KitError });
  t.like(refusal, {
    code: 'others-let-in',
    got: '/root/.ssh/authorized_keys: ssh-ed25519 visitor; account bob',
  });
  t.is(await login(address), 'done', 'the bench is not shut out');
  t.is((await bench.secrets.kit(kit)).ownerPassphrase, secrets.kit.ownerPassphrase);

  // Without the administrators' group he is a user of the home as any: YunoHost keeps him out of SSH.
  machine.write('root/.ssh/authorized_keys', keys, 0o600);
  machine.shell(`printf 'dn: cn=admins,ou=groups,dc=yunohost,dc=org\\nchangetype: modify\\n%s\\n' \\
  'delete: memberUid
memberUid: bob' | ldapmodify`);
  machine.remove('etc/yunohost/hooks.d/conf_regen/50-ssh');
  machine.write('etc/stand-in/cut', 'regen-conf ssh: written');
  const cutOff = codeOf(handOver());
  t.true(await machine.pointReached(cutOff));
  await machine.cut();
  machine.remove('etc/stand-in/cut');
  await machine.boot();
  t.not(await cutOff, 'done');
  t.is(await codeOf(handOver()), 'done', said.join('\n'));

  const { ownerPassphrase: passphrase } = secrets.kit;
  for (const user of ['root', 'alice', 'bob']) t.is(await login({ ...address, user }), 'login-refused', user);
  t.is(await login({ ...address, account: { user: 'alice', passphrase } }), 'done');
  t.is(await login({ ...address, account: { user: 'bob', passphrase: 'lusab-babad' } }), 'login-refused');
  t.is(machine.read('root/.ssh/authorized_keys'), '');
  t.is(await codeOf(bench.secrets.kit(kit)), 'kit-handed-over');
  for (const file of [leaflet.file, join(bench.dir, 'secrets/alice.age')]) t.false(existsSync(file), file);
  t.true(await finishErasing(kit, bench));
  t.is(backups(), 2, 'the owner’s login is in a backup');

  // Whatever YunoHost writes anew, and whenever its plug is pulled.
  machine.shell('yunohost tools regen-conf --force >/dev/null');
  await machine.cut();
  await machine.boot();
  const [code, other] = leaflet.secrets.recoveryCodes;
  const hostKey = secrets.kit.sshHostKey.publicLine;
  const fresh = await useRecoveryCode({
    ...{ host: machine.address, hostKey, owner: 'alice', code, other },
    ...{ old: passphrase, left: 7, rootToo: true },
  });
  const account = machine.read('home/yunohost.app/snac/user/alice/user.json');
  const [, nonce, digest] = /"passwd": "([0-9a-f]{8}):([0-9a-f]{40})"/.exec(account)!;
  t.is(digest, createHash('sha1').update(`${nonce}:alice:${fresh}`).digest('hex'));

  // Those that the bench knew; the node's own copies are hashes.
  for (const secret of [passphrase, fresh, ...leaflet.secrets.recoveryCodes]) {
    const places = '/var /etc /home /run /tmp';
    t.is(machine.shell(`grep -rlF -e '${secret}' ${places} || true`), '');
    t.false(JSON.stringify(bench.record.history('alice')).includes(secret));
    t.false(said.join('\n').includes(secret));
  }
});
