// What YunoHost refuses, and what it only calls done: each has an error of its own, by what the node
// shows and not by what was returned; and the next run goes on from there.

import test, { type ExecutionContext } from 'ava';

import { KitError } from '../../../../provisioner/errors.ts';
import { handoverOf } from '../../../../provisioner/node/kinds.ts';
import { letsencryptDirectory } from '../../../../provisioner/node/yunohost/certificate.ts';
import type { ConfigureChanges } from '../../../helpers/yunohost-node.ts';
import { makeYunohostNode, type YunohostNode } from '../../../helpers/yunohost-node.ts';

test.serial('the stand-in tells the lies that FACTS tells of', async (t) => {
  const { machine } = await makeYunohostNode(t);
  const yunohost = (words: string): [status: string, out: string, errors: string] => {
    const script = `status=0; yunohost ${words} >/tmp/out 2>/tmp/err || status=$?; echo $status`;
    return [machine.shell(script).trim(), machine.read('tmp/out'), machine.read('tmp/err')];
  };
  t.is(JSON.parse(yunohost('--version --output-as json')[1]).yunohost.version, '12.1.25');
  const [status, said] = yunohost('user list --output-as json');
  t.is(status, '1');
  t.regex(said, /YunoHost is not correctly installed/);
  const postinstall = 'tools postinstall -d alice.test -u alice -F Alice -p lusab-babad '
    + '--ignore-dyndns --force-diskspace --i-have-read-terms-of-services';
  t.is(yunohost(`${postinstall} --overwrite-root-password`)[0], '2');
  machine.write('etc/stand-in/offline', '');
  t.is(yunohost(postinstall)[0], '0');
  t.regex(yunohost(postinstall)[2], /YunoHost is already installed/);
  t.is(yunohost('tools update apps')[0], '0');
  const created = yunohost('user create bob -F Bob -d alice.test -p lusab-babad');
  t.is(created[0], '1');
  t.true('bob' in JSON.parse(yunohost('user list --output-as json')[1].split('\n').at(-2)!).users);
  t.is(yunohost('domain add bob.test')[0], '1');
  t.deepEqual(JSON.parse(yunohost('domain list --output-as json')[1]).domains, ['alice.test']);
  t.true(machine.exists('etc/yunohost/certs/bob.test-history'));
  const certified = yunohost('domain cert install alice.test');
  t.is(certified[0], '0');
  t.regex(certified[2], /Error:.* There is no diagnosis result/);
  t.is(yunohost('diagnosis run')[0], '0');
});

interface Refusal {
  code: string;
  changes?: ConfigureChanges;
  before?: (node: YunohostNode) => void | Promise<void>;
  /** What somebody mends before the next run. */
  mend?: (node: YunohostNode) => void;
}

const offline = 'etc/stand-in/offline';
const catalog = 'var/cache/yunohost/repo/default.json';

const refusals: Record<string, Refusal> = {
  'a domain that YunoHost does not take': {
    code: 'domain-refused',
    changes: { kit: { domain: 'alice.x' } },
  },
  'a passphrase that YunoHost calls weak': { code: 'passphrase-weak' },
  'an owner named as one of the system’s own': {
    code: 'owner-name-taken',
    changes: { kit: { owner: 'admin' } },
  },
  'no catalogue of applications': {
    code: 'app-catalog-missing',
    before: ({ machine }) => machine.write(offline, ''),
    mend: ({ machine }) => machine.remove(offline),
  },
  'an application that the catalogue does not have': {
    code: 'app-unknown',
    before: ({ machine }) => {
      machine.write(offline, '');
      machine.write(catalog, '{"apps": {}}');
    },
    mend: ({ machine }) => {
      machine.remove(offline);
      machine.remove(catalog);
    },
  },
  'a YunoHost that is too old for the application': {
    code: 'yunohost-too-old',
    before: ({ machine }) => machine.write('etc/stand-in/version', '12.1.2'),
    mend: ({ machine }) => machine.remove('etc/stand-in/version'),
  },
  'a YunoHost that nobody has tried': {
    code: 'yunohost-version',
    before: ({ machine }) => machine.write('etc/stand-in/version', '11.3.0'),
  },
  'somebody else’s command that does not end': {
    code: 'yunohost-busy',
    before: ({ machine }) => {
      machine.write('etc/stand-in/hurried', '');
      machine.shell('echo 1 >/run/moulinette_yunohost.lock');
    },
    mend: ({ machine }) => void machine.shell('rm /run/moulinette_yunohost.lock'),
  },
  'another application at the root of the domain': {
    code: 'app-place-taken',
    async before({ machine, configure }) {
      machine.write(offline, '');
      await configure().catch(() => undefined);
      machine.remove(offline);
      machine.write('etc/yunohost/apps/hextris/settings.yml', JSON.stringify({
        ...{ id: 'hextris', name: 'Hextris', version: '1', domain_path: 'alice.test/' },
      }));
    },
  },
  'a certificate that Let’s Encrypt refuses, with status 0': {
    code: 'certificate-refused',
    changes: { campaign: { acme: { directory: letsencryptDirectory } } },
  },
};

for (const [about, refusal] of Object.entries(refusals)) {
  test.serial(`${about}: ${refusal.code}`, async (t) => {
    const node = await makeYunohostNode(t);
    await refusal.before?.(node);
    const { secrets } = node;
    const weak = { ...secrets, kit: { ...secrets.kit, ownerPassphrase: 'password' } };
    const changes: ConfigureChanges = refusal.code === 'passphrase-weak'
      ? { secrets: weak }
      : (refusal.changes ?? {});
    const error = await t.throwsAsync(node.configure(changes), { instanceOf: KitError });
    t.is((error as KitError).code, refusal.code, JSON.stringify(error));
    if (refusal.mend === undefined) return;
    refusal.mend(node);
    await settles(t, node);
  });
}

test.serial('somebody on the network did the postinstall first', async (t) => {
  const node = await makeYunohostNode(t);
  node.machine.shell('yunohost tools postinstall -d evil.test -u eve -F Eve -p lusab-babad');
  const error = await t.throwsAsync(node.configure(), { instanceOf: KitError });
  t.is((error as KitError).code, 'postinstall-foreign');
});

test.serial('something goes on answering where anybody could do it', async (t) => {
  const node = await makeYunohostNode(t);
  node.machine.shell(`systemctl stop yunohost-api
setsid python3 -c 'import socket, time
s = socket.socket(); s.bind(("0.0.0.0", 6787)); s.listen(); time.sleep(600)' >/dev/null 2>&1 &
sleep 1`);
  const error = await t.throwsAsync(node.configure(), { instanceOf: KitError });
  t.is((error as KitError).code, 'postinstall-open');
  t.false(node.machine.exists('var/lib/stand-in/race'), 'no postinstall was begun');
});

/** `user create` ends with 1 and the user is there: seen to be a success. */
test.serial('an owner who was removed is made again, without a catalogue', async (t) => {
  const node = await makeYunohostNode(t);
  await node.configure();
  const path = 'var/lib/stand-in/directory.json';
  const held = JSON.parse(node.machine.read(path));
  const groups = { ...held.groups, admins: [], all_users: [] };
  node.machine.write(path, JSON.stringify({ ...held, users: {}, groups }));
  node.machine.write(offline, '');
  node.machine.remove(catalog);
  const { plan } = await node.configure();
  t.deepEqual(plan.steps.map(({ name }) => name), ['Make the owner’s account, alice']);
  t.deepEqual(JSON.parse(node.machine.read(path)).groups.admins, ['alice']);
  t.deepEqual((await node.configure()).plan.steps, []);
});

test.serial('Let’s Encrypt’s certificate takes the place of YunoHost’s own', async (t) => {
  const node = await makeYunohostNode(t);
  const changes: ConfigureChanges = {
    kit: { domain: 'alice.example.org' },
    campaign: { acme: { directory: letsencryptDirectory } },
  };
  await node.configure(changes);
  const live = node.machine.shell('readlink -f /etc/yunohost/certs/alice.example.org');
  t.regex(live, /-letsencrypt\n$/);
  t.deepEqual((await node.configure(changes)).plan.steps, []);
});

test.serial('GoToSocial is not installed with the passphrase that its account has', async (t) => {
  const node = await makeYunohostNode(t);
  const { machine } = node;
  machine.write('etc/stand-in/version', '12.1.38');
  const changes: ConfigureChanges = {
    campaign: { yunohost: { app: 'gotosocial' } },
  };
  await node.configure(changes);
  t.deepEqual((await node.configure(changes)).plan.steps, []);
  const { ownerPassphrase } = node.secrets.kit;
  const hash = machine.read('var/lib/stand-in/postgres/hash');
  machine.write('tmp/tried', ownerPassphrase);
  const tried = `perl -e 'my ($hash) = @ARGV; print crypt(<STDIN>, $hash)' '${hash}' </tmp/tried`;
  t.is(machine.shell(tried), hash);
  t.regex(hash, /^\$2b\$10\$/);
  machine.remove('tmp/tried');
  const [program] = handoverOf({ ...node.campaign, ...changes.campaign }).files('/tmp/passphrase.d');
  machine.write(program.path, program.content as string, 0o755);
  machine.write('tmp/tried', 'another-one\n');
  machine.shell(`${program.path} alice </tmp/tried`);
  const later = machine.read('var/lib/stand-in/postgres/hash');
  const again = `perl -e 'chomp(my $l = <STDIN>); print crypt($l, $ARGV[0])' '${later}' </tmp/tried`;
  t.is(machine.shell(again), later);
  t.not(later, hash);
  t.throws(() => machine.shell(`${program.path} nobody </tmp/tried`));
  machine.remove('tmp/tried');
  t.regex(machine.read('etc/yunohost/apps/gotosocial/password'), /^Aa1-[0-9a-f]{32}$/);
  t.is(machine.shell(`grep -rlF '${ownerPassphrase}' /etc /var /run /home || true`), '');
});

test.serial('a node of the next YunoHost, its backups kept to two', async (t) => {
  const node = await makeYunohostNode(t);
  node.machine.write('etc/stand-in/version', '13.0.1');
  await node.configure();
  for (let night = 0; night < 3; night += 1) {
    node.machine.shell('sleep 1; commons-backup make');
  }
  const kept = node.machine.shell('commons-backup list').trim().split('\n');
  t.is(kept.length, 2);
  const archive = `home/yunohost.backup/archives/${kept[1]}.tar`;
  node.machine.write(archive, node.machine.read(archive).slice(0, 2000));
  t.throws(() => node.machine.shell('commons-backup prove 2>/dev/null'));
  const { error } = JSON.parse(node.machine.read('var/lib/commons-kit/backup.json'));
  t.regex(error, /does not give back/);
});

async function settles(t: ExecutionContext, node: YunohostNode): Promise<void> {
  await node.configure();
  t.deepEqual((await node.configure()).plan.steps.map(({ name }) => name), []);
}
