// Things that go wrong with a node in life, each done to a real one: `kit check` must fail by just
// the checks that are named here, the first of them with this advice. Then that advice is followed;
// a node that is not whole again fails the next one by a check too many. docs/nodes.md has them as
// a table.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { NspawnNode } from '../helpers/nspawn-node.ts';
import type { Certificates, Wrong } from './certificates.ts';
import { intervalS, type WatchedLedger } from './ledger.ts';

export interface Fault {
  about: string;
  inflict: Act;
  /** The checks that fail; the first is the one whose words are told. */
  fails: string[];
  measured: RegExp;
  advice: string;
  mend: Act;
}

/** POSIX shell at the node's own keyboard, or something at the bench. */
type Act = string | (() => Promise<unknown>);

export interface Scene {
  node: NspawnNode;
  ledger: WatchedLedger;
  configure: () => Promise<unknown>;
  certificate: Certificates;
  /** PEM: another node's host key. */
  otherHostKey: string;
}

const web = ['webfinger', 'actor', 'nodeinfo'];
const again = 'Run `kit configure`: it does what is left.';
const certificate = '/etc/commons-kit/tls.crt';
const key = '/etc/commons-kit/tls.key';
const store = '/var/backups/commons-kit';

/**
 * In their order: the ledger answers from the first one on, and neighbours fail by other checks, so
 * that what one leaves behind shows at the next.
 */
export function faults({ node, ledger, configure, certificate: certify, otherHostKey }: Scene): Fault[] {
  const serve = async (wrong: Wrong): Promise<void> => {
    const { certificatePem, keyPem } = await certify(wrong);
    writeFileSync(join(node.tree, certificate), certificatePem);
    writeFileSync(join(node.tree, key), keyPem);
    node.run('systemctl reload nginx.service');
  };
  return [
    {
      about: 'its meter has been silent for three hours',
      inflict: () => ledger.fallsSilent(),
      fails: ['meter'],
      measured: /is silent: 1 batches, the last 1\d{4} s ago/,
      advice: 'Is the meter powered and on the LAN? Its screen says.',
      mend: () => ledger.report(node.address),
    },
    {
      about: 'nginx stopped',
      inflict: 'systemctl stop nginx.service',
      fails: ['services', 'configured', 'tls', ...web, 'ports', 'relay'],
      measured: /^nginx\.service is inactive$/,
      advice: 'Run `kit configure`; then look at their journal.',
      mend: configure,
    },
    {
      about: 'its meter’s probes go unanswered',
      inflict: () => ledger.report(node.address, (seen) => (
        { ...seen, upS: seen.upS - intervalS, downS: seen.downS + intervalS }
      )),
      fails: ['meter'],
      measured: /is down: /,
      advice: 'The meter’s probes go unanswered: look at `counters`.',
      mend: () => ledger.report(node.address),
    },
    {
      about: 'snac stopped',
      inflict: 'systemctl stop snac2.service',
      fails: ['services', 'configured', ...web],
      measured: /^snac2\.service is inactive$/,
      advice: 'Run `kit configure`; then look at their journal.',
      mend: configure,
    },
    {
      about: 'its meter sits in another machine’s lead',
      inflict: () => ledger.report(node.address, (seen) => (
        { ...seen, minMilliW: 600_000, meanMilliW: 600_000, maxMilliW: 600_000 }
      )),
      fails: ['meter-plausible'],
      measured: /^600 W, where a .* draws /,
      advice: 'Is the node fed through this meter, and is its calibration its own?',
      mend: () => ledger.report(node.address, (seen) => (
        { ...seen, minMilliW: 5_000, meanMilliW: 6_000, maxMilliW: 7_000 }
      )),
    },
    {
      about: 'the certificate ran out',
      inflict: () => serve({ daysLeft: -1 }),
      fails: ['tls', 'configured', ...web],
      measured: /expired/,
      advice: 'Run `kit configure`: it renews the certificate.',
      mend: configure,
    },
    {
      about: 'the ledger cannot be reached',
      inflict: () => ledger.goes(),
      fails: ['relay', 'meter'],
      measured: /status 502$/,
      advice: 'Is the ledger up, and can the node reach it? Run `kit configure` if its address changed.',
      mend: () => ledger.comes(),
    },
    {
      about: 'the certificate runs out in ten days',
      inflict: () => serve({ daysLeft: 10 }),
      fails: ['tls', 'configured'],
      measured: / (9|10) days left$/,
      advice: 'Run `kit configure`: it renews the certificate.',
      mend: configure,
    },
    {
      about: 'another ledger answers in its place',
      inflict: () => ledger.isReplaced(),
      fails: ['relay', 'meter'],
      measured: /^it leads to the ledger another\.test\/commons$/,
      advice: 'Is the ledger up, and can the node reach it? Run `kit configure` if its address changed.',
      mend: () => ledger.comes(),
    },
    {
      about: 'the certificate is for another name',
      inflict: () => serve({ domain: 'mallory.test' }),
      fails: ['tls', 'configured', ...web],
      measured: /alice\.test/,
      advice: 'Run `kit configure`: the certificate is for another name. Is `domain` right?',
      mend: configure,
    },
    {
      about: 'the last backup is three days old',
      inflict: `touch -d '-72 hours' ${store}/2*/*.tar.zst\ncommons-backup prove`,
      fails: ['backup'],
      measured: /^the last one was made 72 h ago$/,
      advice: 'Look at `systemctl status commons-backup.timer`.',
      mend: 'commons-backup make',
    },
    {
      about: 'nobody who is trusted certified it',
      inflict: () => serve({ stranger: true }),
      fails: ['tls', 'configured', ...web],
      measured: /certificate/,
      advice: 'Run `kit configure`: nobody that is trusted certified it. Is another server there?',
      mend: configure,
    },
    {
      about: 'the drive spoilt a backup',
      inflict: `for archive in ${store}/2*/0.tar.zst; do
  printf spoilt | dd of="$archive" bs=1 seek=2000 conv=notrunc status=none
done
! commons-backup prove`,
      fails: ['backup'],
      measured: /^the backup \d{8}T\d{6}Z does not give back what was in it$/,
      advice: 'Put the node on a new drive: this one loses what it was told.',
      mend: `rm -r ${store}/2*\ncommons-backup make`,
    },
    {
      about: 'the firewall is gone',
      inflict: 'nft delete table inet commons',
      fails: ['firewall', 'configured', 'counters', 'ports'],
      measured: /^not loaded$/,
      advice: 'Run `kit configure`.',
      mend: configure,
    },
    {
      about: 'a service of its own failed',
      inflict: '! systemd-run -q --wait --unit=broken false',
      fails: ['running'],
      measured: /^failed: broken\.service$/,
      advice: 'Look at `journalctl -u broken.service` on the node.',
      mend: 'systemctl reset-failed broken.service',
    },
    {
      about: 'the firewall shuts port 443',
      inflict: 'nft insert rule inet commons input tcp dport 443 reject with tcp reset',
      fails: ['ports', 'firewall', 'configured', 'tls', ...web],
      measured: /^no answer on 443$/,
      advice: 'Run `kit configure`: it sets the firewall and starts the web server.',
      mend: configure,
    },
    {
      about: 'everybody on the node can read the certificate’s key',
      inflict: `chmod 644 ${key}`,
      fails: ['configured'],
      measured: /tls\.key has mode 644/,
      advice: again,
      mend: configure,
    },
    {
      about: 'something listens for everybody, through a hole in the firewall',
      inflict: `systemd-run -q --unit=stray --socket-property=ListenStream=9999 --socket-property=Accept=yes cat
nft insert rule inet commons input tcp dport 9999 accept`,
      fails: ['ports', 'firewall', 'configured'],
      measured: /^everybody on the LAN reaches 9999$/,
      advice: 'Run `kit configure`: it sets the firewall; then see what listens there.',
      mend: async () => {
        await configure();
        node.run('systemctl stop stray.socket\nsystemctl reset-failed');
      },
    },
    {
      about: 'its relay leads elsewhere',
      inflict: `sed -i 's|set $commons_ledger .*|set $commons_ledger http://127.0.0.1:9;|' \\
  /etc/nginx/conf.d/commons-kit.conf
systemctl reload nginx.service`,
      fails: ['relay', 'configured'],
      measured: /status 502$/,
      advice: 'Is the ledger up, and can the node reach it? Run `kit configure` if its address changed.',
      mend: configure,
    },
    {
      about: 'the counters’ socket is off',
      inflict: 'systemctl disable -q --now commons-counters.socket',
      fails: ['counters', 'services', 'configured'],
      measured: /ECONNREFUSED/,
      advice: 'Run `kit configure`; then look at commons-counters.socket.',
      mend: configure,
    },
    {
      about: 'it no longer trusts the campaign’s authority',
      inflict: 'cat /usr/share/ca-certificates/mozilla/*.crt >/etc/ssl/certs/ca-certificates.crt',
      fails: ['configured'],
      measured: /it is not among the trusted ones/,
      advice: again,
      mend: configure,
    },
    {
      about: 'security updates are off',
      inflict: 'systemctl disable -q --now apt-daily-upgrade.timer',
      fails: ['services', 'configured'],
      measured: /^apt-daily-upgrade\.timer is inactive$/,
      advice: 'Run `kit configure`; then look at their journal.',
      mend: configure,
    },
    {
      about: 'it will have another host name from its next start on',
      inflict: 'echo mallory >/etc/hostname',
      fails: ['configured'],
      measured: /\/etc\/hostname differs/,
      advice: again,
      mend: configure,
    },
    {
      about: 'nightly backups are off',
      inflict: 'systemctl disable -q --now commons-backup.timer',
      fails: ['services', 'configured'],
      measured: /^commons-backup\.timer is inactive$/,
      advice: 'Run `kit configure`; then look at their journal.',
      mend: configure,
    },
    {
      about: 'its SSH server is off',
      inflict: 'systemctl stop ssh.service',
      fails: ['login'],
      measured: /cannot be reached by SSH/,
      advice: 'Is the node on, and on this network?',
      mend: 'systemctl start ssh.service',
    },
    {
      about: 'it does not know the bench',
      inflict: 'mv /root/.ssh/authorized_keys /root/.ssh/away',
      fails: ['login'],
      measured: /does not let the bench in/,
      advice: 'Was this drive flashed by this campaign? Flash it again.',
      mend: 'mv /root/.ssh/away /root/.ssh/authorized_keys',
    },
    {
      about: 'another machine has its address',
      inflict: `cp -p /etc/ssh/ssh_host_ed25519_key /root/host-key
cat >/etc/ssh/ssh_host_ed25519_key <<'PEM'
${otherHostKey}PEM
systemctl restart ssh.service`,
      fails: ['login'],
      measured: /is not the node that was made for this kit/,
      advice: 'Another machine has this address: look who, first.',
      mend: `mv /root/host-key /etc/ssh/ssh_host_ed25519_key
systemctl restart ssh.service`,
    },
  ];
}
