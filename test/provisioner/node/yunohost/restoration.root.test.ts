// A YunoHost whose drive has died, brought back on a new one by its own command, which calls done what
// it did in part: whole, cut off on the way, refused where it could not be that home again.

import { join } from 'node:path';

import test from 'ava';

import { KitError } from '../../../../provisioner/errors.ts';
import { handOverKit } from '../../../../provisioner/handover/handover.ts';
import { printLeaflet } from '../../../../provisioner/handover/print.ts';
import { openConnection, type NodeAddress } from '../../../../provisioner/node/connection.ts';
import { addressOf } from '../../../../provisioner/node/kinds.ts';
import { openHome, restoreNode } from '../../../../provisioner/restore/restore.ts';
import { seededRandom } from '../../../helpers/bench.ts';
import { makeYunohostNode, type YunohostNode } from '../../../helpers/yunohost-node.ts';
import { useRecoveryCode } from '../../../node/recovery.ts';

const codeOf = (done: Promise<unknown>): Promise<string> =>
  done.then(() => 'done', (error: unknown) => {
    if (error instanceof KitError) return error.code;
    throw error;
  });

/** The last backup of a node, on a stick. */
function backUp({ machine, bench }: YunohostNode, name: string): string {
  machine.shell('sleep 1; commons-backup make');
  const stick = join(bench.dir, name);
  machine.copyOut('var/backups/commons-kit', join(stick, 'commons-kit'));
  return stick;
}

async function restore({ machine, bench, kit }: YunohostNode, stick: string): Promise<string> {
  const its = { ...kit, address: machine.address };
  const deps = { ...bench, now: Date.now, report: () => undefined };
  return codeOf(openHome(its, stick, bench).then((home) => restoreNode(home, deps)));
}

/** What makes it that home, as it lies on its drive. */
function seen({ machine }: YunohostNode): Record<string, string> {
  const account = 'home/yunohost.app/snac/user/alice';
  const paths = [
    ...['var/lib/stand-in/directory.json', 'etc/userdb/alice.user-privileged', 'etc/hostname'],
    ...[`${account}/user.json`, `${account}/post`, 'etc/yunohost/apps/snac/settings.yml'],
    ...['crt', 'key', 'ca'].map((name) => `etc/yunohost/certs/alice.test-history/commons-kit/${name}.pem`),
  ];
  const shell = machine.shell(`grep '^root:' /etc/shadow | cut -d : -f 2
readlink /etc/yunohost/certs/alice.test
stat -c '%n %a %U:%G' /${account}/* /etc/yunohost/certs/alice.test/*`);
  return { shell, ...Object.fromEntries(paths.map((path) => [path, machine.read(path)])) };
}

/** Before YunoHost's mark, right after it, and within each half of what follows. */
const points = [
  ...['user: in the directory', 'postinstall: marked'],
  ...['restore: directory back', 'restore: app listed'],
];

test.serial('one that was handed over comes back as its owner’s, cut off on the way', async (t) => {
  t.timeout(600_000);
  const old = await makeYunohostNode(t);
  const { bench, secrets } = old;
  await old.configure();
  const means = { folder: bench.dir, random: seededRandom('leaflet'), now: Date.now };
  const its = { ...old.kit, address: old.machine.address };
  const leaflet = await printLeaflet(its, bench, means);
  await handOverKit(its, { leaflet, reason: 'a test' }, { ...bench, report: () => undefined });
  old.machine.write('home/yunohost.app/snac/user/alice/post', 'of the last day\n');
  const codes = old.machine.read('var/lib/commons-kit/recovery/codes');
  const stick = backUp(old, 'stick');
  const home = seen(old);

  const node = await makeYunohostNode(t, old);
  const { machine } = node;
  for (const point of points) {
    machine.write('etc/stand-in/cut', point);
    const running = restore(node, stick);
    t.true(await machine.pointReached(running), point);
    await machine.cut();
    machine.remove('etc/stand-in/cut');
    t.not(await running, 'done');
    await machine.boot();
  }
  t.is(await restore(node, stick), 'done');
  t.deepEqual(seen(node), home);
  t.is(machine.read('var/lib/commons-kit/recovery/codes'), codes);
  t.deepEqual(new Set(machine.read('var/lib/stand-in/race').trim().split('\n')), new Set(['shut']));

  const address = addressOf({ ...node.kit, address: machine.address }, secrets);
  const login = (of: NodeAddress) => codeOf(openConnection(of).then((connection) => connection.close()));
  for (const user of ['root', 'alice']) t.is(await login({ ...address, user }), 'login-refused', user);
  t.is(await restore(node, stick), 'done', 'said once more');
  const [code, other] = leaflet.secrets.recoveryCodes;
  await useRecoveryCode({
    ...{ host: machine.address, hostKey: secrets.kit.sshHostKey.publicLine, owner: 'alice' },
    ...{ code, other, old: secrets.kit.ownerPassphrase, left: 7, rootToo: true },
  });
  machine.shell('commons-backup prove');
});

test.serial('what YunoHost puts back in part, or could not, is told by its name', async (t) => {
  t.timeout(600_000);
  const old = await makeYunohostNode(t);
  await old.configure();
  old.machine.write('home/yunohost.app/snac/user/alice/post', 'of the last day\n');
  const home = seen(old);
  const stick = backUp(old, 'stick');
  t.is(await restore(old, stick), 'node-inhabited');
  t.deepEqual(seen(old), home);
  old.machine.write('etc/stand-in/version', '11.3.0');
  const ancient = backUp(old, 'ancient');

  const node = await makeYunohostNode(t, old);
  const { machine } = node;
  t.is(await restore(node, ancient), 'backup-yunohost-older');
  t.false(machine.exists('var/lib/stand-in/race'), 'nothing was begun');
  machine.write('etc/stand-in/version', '12.1.20');
  t.is(await restore(node, stick), 'backup-yunohost-newer');
  machine.remove('etc/stand-in/version');
  machine.write('etc/stand-in/offline', '');
  t.is(await restore(node, stick), 'restore-in-part');
  machine.remove('etc/stand-in/offline');
  t.is(await restore(node, stick), 'done');
  t.deepEqual(seen(node), home);
  t.deepEqual((await node.configure()).plan.steps.map(({ name }) => name), []);
});
