// The first boot's script, run for real in a mount namespace where /etc, /var/lib, /root and /run
// are folders of the test's own: what it applies, what it reports, and what it leaves behind. Only
// finding the drive and growing its root are put aside; a machine shows those (test/boot/).

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import test, { type ExecutionContext } from 'ava';

import { identityFiles, identityVersion } from '../../../../../../../provisioner/drive/identity-files.ts';
import { makeBench } from '../../../../../../helpers/bench.ts';

const script = fileURLToPath(
  new URL('../../../../../../../images/node/root/usr/lib/commons-kit/first-boot', import.meta.url),
);

interface Scene {
  /** Text of a file, by its path on the node. */
  read(path: string): string;
  mode(path: string): number;
  /** Names in /kit afterwards. */
  left: string[];
  report: { version: string; applied: string[]; failed: { setting: string; reason: string }[] };
  said: string;
}

type Kit = Record<string, string>;

/** Runs the first boot on a /kit of these files. @param kit undefined: there is no such folder */
function firstBoot(
  t: ExecutionContext,
  { kit, manager = 'networkd', before = '' }: { kit?: Kit; manager?: string; before?: string },
): Scene {
  const dir = mkdtempSync(join(tmpdir(), 'first-boot-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  };
  put('etc/hostname', 'commons-kit\n');
  put('etc/ssl/certs/ca-certificates.crt', '# Debian\n');
  put('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n');
  put('usr-libexec/iwd', '');
  for (const folder of ['etc/ssh', 'etc/modprobe.d', 'etc/systemd/network', 'var-lib', 'root']) {
    mkdirSync(join(dir, folder), { recursive: true });
  }
  for (const folder of ['run', 'etc/ssl/certs', 'usr-local']) {
    mkdirSync(join(dir, folder), { recursive: true });
  }
  mkdirSync(join(dir, 'usr-local/share/ca-certificates'), { recursive: true });
  for (const [name, text] of Object.entries(kit ?? {})) put(`kit/${name}`, text);
  const body = readFileSync(script, 'utf8');
  t.true(body.endsWith('\nmain\n'), 'the script runs main at its end');
  const lines = [
    'set -e',
    ...['etc', 'root', 'run'].map((name) => `mount --bind ${dir}/${name} /${name}`),
    `mount --bind ${dir}/var-lib /var/lib`,
    `mount --bind ${dir}/usr-libexec /usr/libexec`,
    `mount --bind ${dir}/usr-local /usr/local`,
    'mkdir -p /run/commons-kit/esp',
    kit === undefined ? '' : `mkdir /run/commons-kit/esp/kit
mount --bind ${dir}/kit /run/commons-kit/esp/kit`,
    // The whole machine's drives are no matter of this test's.
    'sync() { :; }',
    body.replace(/\nmain\n$/, '\n').replace('> /proc/sys/kernel/hostname', '> /dev/null'),
    `mount_esp() { :; }
unmount_esp() { :; }
grow_root() { :; }
manager() { echo ${manager}; }
${before}
set +e
main`,
  ];
  const said = execFileSync('unshare', ['--mount', 'sh', '-s'], {
    input: lines.join('\n'),
    encoding: 'utf8',
  });
  const at = (path: string): string =>
    join(dir, path.replace(/^\/var\/lib/, '/var-lib').replace(/^\/usr\/local/, '/usr-local'));
  const read = (path: string): string => readFileSync(at(path), 'utf8');
  return {
    ...{ read, said },
    mode: (path) => statSync(at(path)).mode & 0o777,
    left: kit === undefined ? [] : readdirSync(join(dir, 'kit')).sort(),
    report: JSON.parse(read('/var/lib/commons-kit/first-boot.json')),
  };
}

/** A whole /kit/ as flashing writes it. */
async function wholeKit(change: (text: string) => string = (text) => text): Promise<Kit> {
  const bench = await makeBench(change(textWithAlice));
  try {
    const [kit] = bench.campaign.kits;
    const { wifi } = kit.network;
    if (wifi) await bench.secrets.keepWifi(kit, { ssid: wifi.ssid, passphrase });
    const secrets = { kit: await bench.secrets.kit(kit), campaign: await bench.secrets.campaign() };
    return Object.fromEntries(identityFiles(bench.campaign, kit, secrets));
  } finally {
    bench.remove();
  }
}

const passphrase = ' a \\ "b" $(c) e';
const textWithAlice = `name = "Riverside"
ledger = "http://ledger.test"
ledger_origin = "ledger.test/commons"
image = "tiny"
arch = "amd64"
timezone = "Europe/Vienna"

[[kit]]
name = "alice"
domain = "alice.test"
owner = "alice"
network = "dhcp"
`;
const fixed = 'address = "10.1.2.3/24", gateway = "10.1.2.1", dns = ["10.1.2.1", "fd00::1"]';
const wifi = 'wifi = { ssid = "Café 5", country = "AT" }';
const withNetwork = (network: string) => (text: string) => text.replace('"dhcp"', `{ ${network} }`);

test('what flashing writes is applied, and nothing of it stays but the version', async (t) => {
  const kit = await wholeKit();
  const { report, left, read, mode } = firstBoot(t, { kit });
  t.deepEqual(report.failed, []);
  t.is(report.version, identityVersion);
  const names = Object.keys(kit).filter((name) => name !== 'version');
  t.deepEqual(report.applied.sort(), ['root-size', ...names].sort());
  t.deepEqual(left, ['version']);
  t.is(read('/etc/hostname'), 'alice\n');
  t.is(read('/etc/timezone'), 'Europe/Vienna\n');
  t.regex(read('/etc/hosts'), /^127\.0\.1\.1 alice\.test alice$/m);
  t.is(read('/etc/ssh/ssh_host_ed25519_key'), kit['ssh_host_ed25519_key']);
  t.is(mode('/etc/ssh/ssh_host_ed25519_key'), 0o600);
  t.is(mode('/root/.ssh/authorized_keys'), 0o600);
  t.true(read('/etc/ssl/certs/ca-certificates.crt').endsWith(kit['ca.crt']));
});

test('a setting that is not known is reported, and wiped as well', async (t) => {
  const kit = { ...(await wholeKit()), 'motd': 'hello\n', 'a folder/with': 'x', '.hidden': 'y' };
  const { report, left } = firstBoot(t, { kit });
  const unknown = report.failed.map(({ setting, reason }) => `${setting}: ${reason}`).sort();
  const names = ['.hidden', 'a folder', 'motd'];
  t.deepEqual(unknown, names.map((name) => `${name}: unknown setting`));
  t.deepEqual(left, ['version']);
  t.true(report.applied.includes('hostname'));
});

for (const [about, version] of [['a newer', '3\n'], ['no', undefined], ['an empty', '']] as const) {
  test(`${about} version is reported, and what is known is applied`, async (t) => {
    const { version: _version, ...rest } = await wholeKit();
    const kit = version === undefined ? rest : { ...rest, version };
    const { report } = firstBoot(t, { kit });
    t.is(report.failed.length, 1);
    t.like(report.failed[0], { setting: 'version' });
    t.regex(report.failed[0].reason, /not a version/);
    t.true(report.applied.includes('ssh_host_ed25519_key'));
  });
}

test('a missing host key is reported, and the node makes one', async (t) => {
  const { ssh_host_ed25519_key: _key, ...kit } = await wholeKit();
  const { report, read } = firstBoot(t, { kit });
  t.deepEqual(report.failed.map(({ setting }) => setting), ['ssh_host_ed25519_key']);
  t.true(report.applied.includes('ssh_host_ed25519_key:generated'));
  t.regex(read('/etc/ssh/ssh_host_ed25519_key'), /PRIVATE KEY/);
});

test('without /kit/ nothing fails, and the node is reachable', (t) => {
  const { report } = firstBoot(t, {});
  t.deepEqual(report, {
    ...report,
    ...{ version: 'none', failed: [], applied: ['root-size', 'ssh_host_ed25519_key:generated'] },
  });
});

const broken: [name: string, text: string, reason: RegExp][] = [
  ['hostname', 'Alice!\n', /expected form/],
  ['hostname', 'alice\nbob\n', /more than one line/],
  ['hostname', '', /expected form/],
  ['timezone', 'Mars/Olympus\n', /no such time zone/],
  ['locale', 'xx_XX.UTF-8\n', /not in this image/],
  ['authorized_keys', 'ssh-rsa nonsense\n', /not a public key/],
  ['ca.crt', 'nonsense\n', /./],
  ['ssh_host_ed25519_key', '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n', /./],
  ['network', 'address=10.1.2.3/24\ngateway=10.1.2.1\n', /not the lines/],
  ['network', 'address=10.1.2.3/24\ngateway=10.1.2.1\ndns=10.1.2.1\nmtu=9000\n', /not the lines/],
  ['network', 'address=10.1.2.3\ngateway=10.1.2.1\ndns=10.1.2.1\n', /address is not/],
  ['wifi', 'country=AT\nssid=x\npassphrase=short\n', /^passphrase is not of the expected form$/],
  ['wifi', 'country=Austria\nssid=x\npassphrase=long enough\n', /^country is not/],
];
for (const [name, text, reason] of broken) {
  test(`a ${name} that reads ${JSON.stringify(text.slice(0, 40))} is reported alone`, async (t) => {
    const { report, left } = firstBoot(t, { kit: { ...(await wholeKit()), [name]: text } });
    t.deepEqual(report.failed.map(({ setting }) => setting), [name]);
    t.regex(report.failed[0].reason, reason);
    t.deepEqual(left, ['version']);
  });
}

test('a setting that the drive does not take is reported', async (t) => {
  // A folder stands where the file's new text would go.
  const before = 'mkdir /etc/hostname.part';
  const { report } = firstBoot(t, { kit: await wholeKit(), before });
  t.deepEqual(report.failed.map(({ setting }) => setting), ['hostname']);
});

test('networkd: an address of its own, by cable', async (t) => {
  const { read } = firstBoot(t, { kit: await wholeKit(withNetwork(fixed)) });
  t.is(
    read('/etc/systemd/network/10-kit.network'),
    '[Match]\nName=en* eth*\n\n[Network]\nAddress=10.1.2.3/24\nGateway=10.1.2.1\n' +
      'DNS=10.1.2.1\nDNS=fd00::1\n',
  );
});

test('networkd: Wi-Fi by iwd, the passphrase for root alone and said nowhere', async (t) => {
  const kit = await wholeKit(withNetwork(`${wifi}, ${fixed}`));
  const { read, mode, said, report } = firstBoot(t, { kit });
  t.deepEqual(report.failed, []);
  const profile = `/var/lib/iwd/=${Buffer.from('Café 5').toString('hex')}.psk`;
  t.is(read(profile), '[Security]\nPassphrase=\\sa\\s\\\\\\s"b"\\s$(c)\\se\n');
  t.is(mode(profile), 0o600);
  t.regex(read('/etc/systemd/network/10-kit.network'), /^\[Match\]\nType=wlan\n/);
  t.regex(read('/etc/modprobe.d/commons-kit-wifi.conf'), /ieee80211_regdom=AT$/m);
  t.false(said.includes('"b"') || JSON.stringify(report).includes('$(c)'));
});

test('NetworkManager: one profile for the radio and the address', async (t) => {
  const kit = await wholeKit(withNetwork(`${wifi}, ${fixed}`));
  const { read, mode, report } = firstBoot(t, { kit, manager: 'network_manager' });
  t.deepEqual(report.failed, []);
  const path = '/etc/NetworkManager/system-connections/kit.nmconnection';
  t.is(mode(path), 0o600);
  const profile = read(path);
  t.regex(profile, /^type=wifi$/m);
  t.regex(profile, /^ssid=67;97;102;195;169;32;53;$/m);
  t.true(profile.includes('\npsk=\\sa\\s\\\\\\s"b"\\s$(c)\\se\n'));
  t.true(profile.includes('[ipv4]\nmethod=manual\naddress1=10.1.2.3/24,10.1.2.1\ndns=10.1.2.1;'));
  t.true(profile.includes('[ipv6]\nmethod=auto'));
});

test('NetworkManager: an address of its own, by cable', async (t) => {
  const kit = await wholeKit(withNetwork(fixed));
  const { read } = firstBoot(t, { kit, manager: 'network_manager' });
  const profile = read('/etc/NetworkManager/system-connections/kit.nmconnection');
  t.regex(profile, /^type=ethernet$/m);
  t.false(profile.includes('[wifi]'));
  t.true(profile.includes('address1=10.1.2.3/24,10.1.2.1'));
});

test('an image whose manager is not known says so', async (t) => {
  const kit = await wholeKit(withNetwork(fixed));
  const { report } = firstBoot(t, { kit, manager: 'no_manager' });
  t.deepEqual(report.failed.map(({ setting }) => setting), ['network']);
});
