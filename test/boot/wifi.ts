// The kit's Wi-Fi without a radio: the kernel's mac80211_hwsim gives the machine two, which hear each
// other. On one, the bench's hostapd plays the home's router, with the SSID and passphrase that the
// kit was flashed for; the other is the kit's own to join with. What is not shown: real chips, their
// firmware, and how far they reach.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

import { KitError } from '../../provisioner/errors.ts';
import type { FlashedKit } from './subject.ts';

const program = '/usr/sbin/hostapd';
/** What a node has not got of its own. */
const libraries = /libnl-/;

type Ask = (script: string) => Promise<string>;

/** Joins, by WPA2, and gets an address through the air. */
export async function joinWifi(ask: Ask, { kit, secrets }: FlashedKit): Promise<string> {
  const { wifi } = kit.network;
  const passphrase = secrets.kit.wifi?.passphrase;
  assert.ok(wifi && passphrase);
  // It would take both radios for its own.
  await ask('if [ -e /usr/libexec/iwd ]; then systemctl stop iwd; fi');
  await ask('mkdir -p /root/router && modprobe mac80211_hwsim radios=2 && udevadm settle');
  for (const file of [program, ...librariesOf(program)]) await carry(ask, file);
  await ask(routerScript({ ssid: wifi.ssid, passphrase, country: wifi.country }));
  const joined = await ask(joinedScript);
  assert.match(joined, /^\s*SSID: /m);
  assert.ok(joined.includes(`SSID: ${shownSsid(wifi.ssid)}\n`), joined);
  assert.match(await ask('iw reg get'), new RegExp(`^country ${wifi.country}:`, 'm'));
  return /ADDRESS (\S+)/.exec(joined)?.[1] ?? assert.fail(joined);
}

/** iw writes what is not printable ASCII as \xNN. */
function shownSsid(ssid: string): string {
  const bytes = [...Buffer.from(ssid)];
  const isPlain = (byte: number): boolean => byte > 32 && byte < 127 && byte !== 92;
  const hex = (byte: number): string => `\\x${byte.toString(16).padStart(2, '0')}`;
  return bytes
    .map((byte, at) =>
      isPlain(byte) || (byte === 32 && at > 0 && at < bytes.length - 1)
        ? String.fromCharCode(byte)
        : hex(byte),
    )
    .join('');
}

function librariesOf(file: string): string[] {
  if (!existsSync(file)) {
    throw new KitError({
      code: 'router-missing',
      message: 'There is no program to play the home’s router',
      expected: file,
      got: 'no such file',
      hint: 'Run: apt-get install hostapd',
    });
  }
  const found = execFileSync('ldd', [file], { encoding: 'utf8' }).matchAll(/=> (\/\S+)/g);
  return [...found].map((match) => match[1]).filter((path) => libraries.test(path));
}

async function carry(ask: Ask, file: string): Promise<void> {
  const lines = readFileSync(file).toString('base64').match(/.{1,76}/g) ?? [];
  const there = `/root/router/${basename(file)}`;
  await ask(`base64 -d > ${there} <<'END'\n${lines.join('\n')}\nEND\nchmod 755 ${there}`);
}

/** Which of the two is whose, the managers are told; the router gives addresses as networkd does. */
function routerScript(home: { ssid: string; passphrase: string; country: string }): string {
  return `set -e
phy=$(basename "$(readlink -f /sys/class/net/wlan1/phy80211)")
mkdir -p /run/systemd/network
cat > /run/systemd/network/05-router.network <<END
[Match]
Name=wlan1
[Network]
Address=10.99.0.1/24
DHCPServer=yes
ConfigureWithoutCarrier=yes
[DHCPServer]
EmitDNS=no
END
if [ -e /usr/lib/systemd/system/NetworkManager.service ]; then
  printf '[Match]\\nName=wlan0 en* eth*\\n[Link]\\nUnmanaged=yes\\n' > /run/systemd/network/06-others.network
  nmcli device set wlan1 managed no
  systemctl start systemd-networkd
  # The router's own doors are no part of this.
  systemctl stop firewalld 2>/dev/null || true
else
  mkdir -p /run/systemd/system/iwd.service.d
  cat > /run/systemd/system/iwd.service.d/router.conf <<END
[Service]
ExecStart=
ExecStart=/usr/libexec/iwd --nophys $phy
END
  systemctl daemon-reload
  systemctl start iwd
  networkctl reload
fi
ip link set wlan1 down
cat > /root/router/hostapd.conf <<'END'
interface=wlan1
driver=nl80211
country_code=${home.country}
hw_mode=g
channel=6
utf8_ssid=1
ssid2=${Buffer.from(home.ssid).toString('hex')}
wpa=2
wpa_key_mgmt=WPA-PSK
rsn_pairwise=CCMP
wpa_passphrase=${home.passphrase}
END
LD_LIBRARY_PATH=/root/router /root/router/hostapd -B -f /root/router/hostapd.log /root/router/hostapd.conf ||
  { cat /root/router/hostapd.log; exit 1; }`;
}

/** iwd scans, joins, asks for an address: some seconds, emulated a minute. */
const joinedScript = `for second in $(seq 120); do
  address=$(ip -4 -o addr show dev wlan0 scope global 2>/dev/null | awk '{ print $4 }')
  [ -n "$address" ] && break
  sleep 1
done
iw dev wlan0 link
if [ -z "$address" ]; then
  journalctl -b -u iwd -u NetworkManager -u systemd-networkd --no-pager | tail -30
  cat /root/router/hostapd.log
  exit 1
fi
echo "ADDRESS $address"`;
