// The /kit/ folder on the ESP: who this node is, read once by its first boot. This file owns the
// folder's format on the bench's side; images/node/root/usr/lib/commons-kit/first-boot owns the other.
// Pure. The texts include the node's private host key: they go onto the drive and nowhere else.

import type { Campaign, FixedAddress, Kit, Wifi } from '../campaign/campaign.ts';
import type { CampaignSecrets, KitSecrets } from '../campaign/secrets.ts';
import { wifiPassphrase } from '../campaign/wifi.ts';

/** An image applies a folder of the version that it knows, and reports any other. */
export const identityVersion = '2';

/**
 * File name to content; each a line or a whole text, with a line end.
 * @throws KitError `wifi-passphrase-missing`
 */
export function identityFiles(
  campaign: Campaign,
  kit: Kit,
  secrets: { kit: Pick<KitSecrets, 'sshHostKey' | 'wifi'>; campaign: CampaignSecrets },
): Map<string, string> {
  const files = new Map([
    ['version', identityVersion],
    ['hostname', kit.name],
    ['domain', kit.domain],
    ['timezone', campaign.timezone],
    ['locale', locale(kit.language)],
    ['authorized_keys', secrets.campaign.benchLogin.publicLine],
    ['ssh_host_ed25519_key', secrets.kit.sshHostKey.privatePem],
    ['ca.crt', secrets.campaign.caCertificatePem],
  ]);
  const { fixed, wifi } = kit.network;
  const passphrase = wifiPassphrase(kit, secrets.kit);
  if (wifi && passphrase !== undefined) files.set('wifi', wifiText(wifi, passphrase));
  // Images ask for an address by DHCP on their own.
  if (fixed) files.set('network', fixedText(fixed));
  const lines = (text: string) => (text.endsWith('\n') ? text : `${text}\n`);
  return new Map([...files].map(([name, text]) => [name, lines(text)]));
}

/** Every Debian has C.UTF-8, which speaks English; for others the usual region is taken. */
function locale(language: string): string {
  if (language === 'en') return 'C.UTF-8';
  const { language: code, region } = new Intl.Locale(language).maximize();
  return `${code}_${region}.UTF-8`;
}

/** Lines NAME=VALUE: what runs the network is the image's matter. */
function fixedText({ address, gateway, dns }: FixedAddress): string {
  return [`address=${address}`, `gateway=${gateway}`, `dns=${dns.join(' ')}`].join('\n');
}

function wifiText({ ssid, country }: Wifi, passphrase: string): string {
  return [`country=${country}`, `ssid=${ssid}`, passphraseLine(passphrase)].join('\n');
}

/** The secret among these lines, as it stands there. */
export function passphraseLine(passphrase: string): string {
  return `passphrase=${passphrase}`;
}
