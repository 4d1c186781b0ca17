// The engine against a YunoHost that lies as the real one does, by Debian's own sshd, with its plug
// pulled: whatever is left, the next run completes it, and the one after has nothing to do.

import { setTimeout as sleep } from 'node:timers/promises';

import test, { type ExecutionContext } from 'ava';

import { seededRandom } from '../../../helpers/bench.ts';
import { makeYunohostNode, type YunohostNode } from '../../../helpers/yunohost-node.ts';

const seed = process.env['SEED'] ?? String(Date.now() % 1_000_000);
const randomCuts = 20;

test.serial('a fresh node is configured, and then there is nothing to do', async (t) => {
  const node = await makeYunohostNode(t);
  const first = await node.configure();
  t.true(first.plan.steps.length > 10);
  t.is(first.roundTrips, 3);
  const second = await node.configure();
  t.deepEqual(second.plan.steps, []);
  t.is(second.roundTrips, 1);
  audit(t, node);
  noSecretTold(t, node);
});

/** Where the stand-in's postinstall can be cut, as it passes them on a fresh node. */
const points = [
  ...['postinstall: begins', 'domain: certificate made', 'domain: in the directory'],
  ...['main domain: written', 'main domain: host name set', 'user: in the directory'],
  ...['user: has a group', 'user: is an administrator', 'user: is whole'],
  ...['postinstall: root\'s password set', 'postinstall: before the mark', 'postinstall: marked'],
  ...['postinstall: firewall enabled', 'regen-conf ssh: written', 'regen-conf ssh: done'],
  ...['regen-conf nginx: written', 'regen-conf nginx: done', 'regen-conf dnsmasq: done'],
  ...['regen-conf nftables: written', 'regen-conf nftables: done'],
  ...['app: listed', 'app: data begun', 'app: started'],
  ...['backup: being written', 'diagnosis: half of it'],
];

for (const point of points) {
  test.serial(`cut off at “${point}”`, async (t) => {
    const node = await makeYunohostNode(t);
    await cutAt(t, node, point);
    await completed(t, node);
  });
}

test.serial(`cut off at ${randomCuts} random moments (SEED=${seed})`, async (t) => {
  t.timeout(600_000);
  t.log(`SEED=${seed}`);
  const random = randomOf(seed);
  const whole = await makeYunohostNode(t);
  const { elapsedMs } = await whole.configure();
  await whole.machine.end();
  let node: YunohostNode | undefined;
  let within = 0;
  for (let i = 0; i < randomCuts; i += 1) {
    node ??= await makeYunohostNode(t);
    const running = node.configure().then((outcome) => outcome, () => undefined);
    const done = await Promise.race([running, sleep(random() * elapsedMs)]);
    await node.machine.cut();
    await running;
    await node.machine.boot();
    if (done === undefined) within += 1;
    else {
      // It had come to its end: the next one begins with a fresh node.
      await completed(t, node);
      await node.machine.end();
      node = undefined;
    }
  }
  if (node) await completed(t, node);
  t.true(within > randomCuts / 4, `${within} cuts fell within a run`);
});

/** Pulls the plug where the stand-in comes to a point, and boots again. */
async function cutAt(t: ExecutionContext, node: YunohostNode, point: string): Promise<void> {
  const { machine } = node;
  machine.write('etc/stand-in/cut', point);
  const running = node.configure().then(() => 'done', (error: Error) => error.message);
  t.true(await machine.pointReached(running), `it never came to ${point}`);
  await machine.cut();
  t.not(await running, 'done');
  machine.remove('etc/stand-in/cut');
  await machine.boot();
}

/** The next run does the rest; the one after finds nothing to do, and nor do we. */
async function completed(t: ExecutionContext, node: YunohostNode): Promise<void> {
  await node.configure();
  t.deepEqual((await node.configure()).plan.steps.map(({ name }) => name), []);
  audit(t, node);
}

/** The whole state, not what the plan says of it. */
function audit(t: ExecutionContext, { machine }: YunohostNode): void {
  t.deepEqual(JSON.parse(machine.read('var/lib/stand-in/directory.json')), {
    domains: ['alice.test'],
    users: {
      alice: {
        ...{ username: 'alice', fullname: 'Alice', mail: 'alice@alice.test' },
        'mailbox-quota': 'Unlimited',
      },
    },
    groups: { admins: ['alice'], all_users: ['alice'], alice: [] },
  });
  t.true(machine.exists('etc/yunohost/installed'));
  t.regex(machine.read('etc/shadow'), /^root:\$/m, 'root’s password is the administrator’s');
  t.regex(machine.read('etc/ssh/sshd_config'), /by YunoHost/);
  t.is(machine.read('etc/hostname'), 'alice.test\n');
  t.deepEqual(new Set(machine.read('var/lib/stand-in/race').trim().split('\n')), new Set(['shut']));
  const rules = machine.shell('nft list ruleset');
  t.regex(rules, /policy drop/);
  t.is(rules.match(/tcp dport 8010 accept/g)?.length, 2);
  t.regex(rules, /counter name "wan_in"/);
  t.regex(machine.read('etc/nginx/conf.d/alice.test.conf'), /commons-kit\/relay\.conf/);
  const account = machine.read('home/yunohost.app/snac/user/alice/user.json');
  t.regex(account, /"passwd": "[0-9a-f]{8}:[0-9a-f]{40}"/);
  t.regex(machine.shell('readlink -f /etc/yunohost/certs/alice.test'), /\/commons-kit\n$/);
  const kept = JSON.parse(machine.read('var/lib/commons-kit/backup.json'));
  t.is(kept.error, null);
  t.true(kept.proven_at >= kept.made_at && kept.archives >= 1 && kept.archives <= 2);
  t.deepEqual(machine.shell('ls /var/lib/commons-kit').match(/installing-.*|backup-proof$/gm), null);
  t.is(machine.shell('ls /run | grep -c commons-yunohost || true').trim(), '0');
}

/** In no argument of any process, no log, no file that others may read. */
function noSecretTold(t: ExecutionContext, { machine, secrets, bench }: YunohostNode): void {
  const { ownerPassphrase, tls } = secrets.kit;
  // The certificate's key is where it belongs, and in the home's backups.
  const key = /^(\/etc\/yunohost\/certs\/\S+\/key\.pem\n|\/\S+\/(yunohost|commons-\S+)\.tar\n)*$/;
  const kept: [secret: string, places: RegExp][] = [[ownerPassphrase, /^$/], [tls.keyPem.split('\n')[1], key]];
  for (const [secret, places] of kept) {
    const found = machine.shell(`grep -rlF -e '${secret}' /var /etc /home /run /tmp || true`);
    t.regex(found, places);
    t.false(machine.read('var/lib/stand-in/arguments').includes(secret));
    for (const { detail } of bench.record.history('alice')) {
      t.false(JSON.stringify(detail ?? null).includes(secret));
    }
  }
  t.true(machine.read('var/lib/stand-in/arguments').includes('@passphrase@'), 'it was looked');
}

/** From 0 up to 1. */
function randomOf(name: string): () => number {
  const bytes = seededRandom(name);
  return () => Buffer.from(bytes(4)).readUInt32LE() / 2 ** 32;
}
