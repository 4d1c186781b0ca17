// What can be wrong with a node or with what is asked of it, each for real on an overlay of this
// machine, with Debian's own sshd, tar, apt and OpenSSL: each gets its own error, and the next run
// completes what the failed one left.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';

import test, { type ExecutionContext } from 'ava';

import type { Campaign } from '../../../provisioner/campaign/campaign.ts';
import type { KitSecrets } from '../../../provisioner/campaign/secrets.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { configureNode } from '../../../provisioner/node/configure.ts';
import { configureKits, type ConfiguredKit } from '../../../provisioner/node/configure-kits.ts';
import { tcp } from '../../../provisioner/node/connection.ts';
import { addressOf } from '../../../provisioner/node/kinds.ts';
import { createOutput } from '../../../provisioner/terminal.ts';
import { makeBench } from '../../helpers/bench.ts';
import { startOverlayNode } from '../../helpers/overlay-node.ts';
import { toy, toyDesired } from './toy.ts';

const campaignText = `name = "Riverside"
ledger = "http://ledger.test"
ledger_origin = "ledger.test/commons"
image = "snac"
arch = "amd64"
timezone = "Europe/Vienna"
ca_domains = ["other.test"]

[[kit]]
name = "alice"
domain = "alice.test"
owner = "alice"
`;

interface Changes {
  campaign?: Partial<Campaign>;
  domain?: string;
  passphrase?: string;
}

async function freshNode(t: ExecutionContext) {
  const bench = await makeBench(campaignText);
  const dir = mkdtempSync(join(tmpdir(), 'overlay-'));
  const [kit] = bench.campaign.kits;
  const secrets = { campaign: await bench.secrets.campaign(), kit: await bench.secrets.kit(kit) };
  const node = await startOverlayNode({
    ...{ dir, hostname: 'fresh' },
    hostKeyPem: secrets.kit.sshHostKey.privatePem,
    benchLine: secrets.campaign.benchLogin.publicLine,
  });
  t.teardown(async () => {
    await node.end();
    bench.remove();
    rmSync(dir, { recursive: true });
  });
  const silent = new Writable({ write: (_bytes, _encoding, done) => done() });
  const output = createOutput({}, { out: silent, err: silent });
  const reach = () => tcp('127.0.0.1', node.port);
  const configure = async (changes: Changes = {}): Promise<ConfiguredKit> => {
    const wanted = { ...kit, domain: changes.domain ?? kit.domain };
    const changed = async (): Promise<KitSecrets> => ({
      ...secrets.kit,
      ownerPassphrase: changes.passphrase ?? secrets.kit.ownerPassphrase,
    });
    const deps = {
      campaign: { ...bench.campaign, ...changes.campaign },
      secrets: { ...bench.secrets, kit: changed },
      ...{ record: bench.record, connect: reach },
    };
    return (await configureKits([wanted], deps, output))[0];
  };
  /** A step that runs `command`. */
  const follow = (command: string) =>
    configureNode(toy, toyDesired({ dir: '/var/lib/toy', owner: 'root:root' }, { command }), {
      ...{ kit: 'alice', connect: reach, address: addressOf(kit, secrets) },
    });
  return { node, configure, follow };
}

async function completes(t: ExecutionContext, configure: () => Promise<ConfiguredKit>) {
  const done = await configure();
  t.is(done.error, undefined);
  t.true(done.outcome!.plan.steps.length > 0);
  t.is((await configure()).outcome!.plan.steps.length, 0);
}

interface Fault {
  about: string;
  code: string;
  got: RegExp;
  /** On the node: what is done to it, and what a person would do about it. */
  spoil?: string;
  mend?: string;
  changes?: Changes;
  /** Refused before the node hears of it. */
  unheard?: boolean;
}

const fill = (leaveMiB: number): string =>
  `free=$(df --output=avail -m /var/lib | tail -n 1)
fallocate -l $((free - ${leaveMiB}))M /var/lib/filled`;
/** `date` as a node tells it whose clock is off. */
const shiftClock = (seconds: number): string => `cp /usr/bin/date /usr/bin/true-date
cat >/usr/bin/date.new <<'end'
#!/bin/sh
case "$*" in *-d*) exec true-date "$@" ;; esac
exec true-date -d "@$(($(true-date +%s) + (${seconds})))" "$@"
end
chmod 755 /usr/bin/date.new
mv /usr/bin/date.new /usr/bin/date`;
const trueClock = 'mv /usr/bin/true-date /usr/bin/date';

const faults: Fault[] = [
  {
    ...{ about: 'a weak passphrase', code: 'passphrase-weak', got: /^8 characters, 7 of them/ },
    ...{ changes: { passphrase: 'password' }, unheard: true },
  },
  {
    ...{ about: 'an unknown kind', code: 'kind-unknown', got: /^mastodon$/ },
    ...{ changes: { campaign: { image: 'mastodon' } }, unheard: true },
  },
  {
    ...{ about: 'a full disk', code: 'disk-full', got: /^(9|10) MiB, \d+ inodes free in \/etc$/ },
    ...{ spoil: fill(10), mend: 'rm /var/lib/filled' },
  },
  {
    ...{ about: 'a disk full of small files', code: 'disk-full', got: /, [0-9]{2} inodes free/ },
    spoil: `mkdir /var/lib/many
free=$(df --output=iavail /var/lib | tail -n 1)
seq $((free - 99)) | (cd /var/lib/many && xargs touch)`,
    mend: 'rm -r /var/lib/many',
  },
  {
    about: 'a disk that fills up on the way',
    ...{ code: 'disk-full', got: /no room: \d+ KB needed, \d+ KB free/ },
    ...{ spoil: fill(80), mend: 'rm /var/lib/filled' },
  },
  {
    about: 'a read-only root',
    ...{ code: 'root-read-only', got: /^read-only: \/etc, \/usr\/local, \/var\/lib, \/var\/backups$/ },
    ...{ spoil: 'mount -o remount,ro /', mend: 'mount -o remount,rw /' },
  },
  {
    about: 'a root that turns read-only on the way',
    ...{ code: 'root-read-only', got: /Read-only file system/ },
    spoil: `cp /usr/sbin/update-ca-certificates /root/kept
printf '#!/bin/sh\\nmount -o remount,ro /\\n' >/usr/sbin/update-ca-certificates`,
    mend: 'mount -o remount,rw /\nmv /root/kept /usr/sbin/update-ca-certificates',
  },
  {
    ...{ about: 'a clock that is behind', code: 'clock-wrong', got: /^20\d\d-.*Z$/ },
    ...{ spoil: shiftClock(-86_400), mend: trueClock },
  },
  {
    ...{ about: 'a clock that is ahead', code: 'clock-wrong', got: /^20\d\d-.*Z$/ },
    ...{ spoil: shiftClock(3600), mend: trueClock },
  },
];

for (const { about, code, got, spoil, mend, changes, unheard } of faults) {
  test(`${about} is ${code}; the next run completes`, async (t) => {
    const { node, configure } = await freshNode(t);
    if (spoil !== undefined) await node.run(spoil);
    const { error } = await configure(changes);
    judge(t, error, { code, got });
    t.is(node.sshds, unheard ? 0 : 1);
    if (mend !== undefined) await node.run(mend);
    await completes(t, configure);
  });
}

test('another domain than the node serves is domain-in-use; the right one is as it was', async (t) => {
  const { configure } = await freshNode(t);
  await completes(t, configure);
  const { error } = await configure({ domain: 'other.test' });
  judge(t, error, { code: 'domain-in-use', got: /^alice\.test$/ });
  t.is((await configure()).outcome!.plan.steps.length, 0);
});

/** What a step runs into, and says in its own words. */
const words: { about: string; code: string; got: RegExp; spoil?: string; command: string }[] = [
  {
    about: 'names that nobody looks up',
    ...{ code: 'node-cannot-resolve', got: /Temporary failure resolving/ },
    spoil: mirrorAt('http://deb.debian.test'),
    command: 'apt-get update -q --error-on=any',
  },
  {
    about: 'no way to the internet',
    ...{ code: 'node-offline', got: /Network is unreachable/ },
    spoil: mirrorAt('http://192.0.2.1'),
    command: 'apt-get update -q --error-on=any',
  },
  {
    about: 'a mirror that does not answer',
    ...{ code: 'mirror-unreachable', got: /Connection refused/ },
    spoil: mirrorAt('http://127.0.0.1:9'),
    command: 'apt-get update -q --error-on=any',
  },
  {
    about: 'a certificate of another time',
    ...{ code: 'clock-wrong', got: /certificate is not yet valid/ },
    command: `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null \\
  -subj /CN=a -days 1 -out /run/a.pem 2>/dev/null
openssl verify -attime 86400 -CAfile /run/a.pem /run/a.pem`,
  },
  {
    about: 'a file that does not fit',
    ...{ code: 'disk-full', got: /No space left on device/ },
    command: 'dd if=/dev/zero of=/run/too-large bs=1M count=64',
  },
];

function mirrorAt(url: string): string {
  return `rm -rf /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/*
echo 'deb ${url}/debian trixie main' >/etc/apt/sources.list`;
}

for (const { about, code, got, spoil, command } of words) {
  test(`${about}: a step that fails of it is ${code}`, async (t) => {
    const { node, follow } = await freshNode(t);
    if (spoil !== undefined) await node.run(spoil);
    judge(t, await t.throwsAsync(follow(command)), { code, got });
    t.is((await follow('true')).plan.steps.length, 1);
  });
}

function judge(t: ExecutionContext, error: unknown, wanted: { code: string; got: RegExp }): void {
  if (!(error instanceof KitError)) return void t.is(error, wanted.code);
  t.is(error.code, wanted.code, error.got);
  t.regex(error.got!, wanted.got);
  t.true(error.expected !== undefined && error.hint !== undefined);
}
