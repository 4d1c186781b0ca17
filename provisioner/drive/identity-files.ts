// The /kit/ folder on the ESP: who this node is, read once by its first boot. This file owns the
// folder's format on the bench's side; images/node/root/usr/lib/commons-kit/first-boot owns the other.
// Pure. The texts include the node's private host key: they go onto the drive and nowhere else.

import type { Campaign, Kit, Network } from '../campaign/campaign.ts';
import type { CampaignSecrets, KitSecrets } from '../campaign/secrets.ts';

export const identityVersion = '1';

/** File name to content; each a line or a whole text, with a line end. */
export function identityFiles(
  campaign: Campaign,
  kit: Kit,
  secrets: { kit: KitSecrets; campaign: CampaignSecrets },
): Map<string, string> {
  const files = new Map([
    ['version', identityVersion],
    ['hostname', kit.name],
    ['domain', kit.domain],
    ['timezone', campaign.timezone],
    ['locale', locale(kit.language)],
    ['authorized_keys', secrets.campaign.benchLogin.publicLine],
    ['ssh_host_ed25519_key', secrets.kit.sshHostKey.privatePem],
    ['ssh_host_ed25519_key.pub', secrets.kit.sshHostKey.publicLine],
    ['ca.crt', secrets.campaign.caCertificatePem],
  ]);
  // Images ask for an address by DHCP on their own.
  if (kit.network !== 'dhcp') files.set('network.network', fixedNetwork(kit.network));
  const lines = (text: string) => (text.endsWith('\n') ? text : `${text}\n`);
  return new Map([...files].map(([name, text]) => [name, lines(text)]));
}

/** Every Debian has C.UTF-8, which speaks English; for others the usual region is taken. */
function locale(language: string): string {
  if (language === 'en') return 'C.UTF-8';
  const { language: code, region } = new Intl.Locale(language).maximize();
  return `${code}_${region}.UTF-8`;
}

/** systemd.network(5) */
function fixedNetwork({ address, gateway, dns }: Exclude<Network, 'dhcp'>): string {
  return [
    '[Match]',
    'Name=en* eth*',
    '',
    '[Network]',
    `Address=${address}`,
    `Gateway=${gateway}`,
    ...dns.map((server) => `DNS=${server}`),
    '',
  ].join('\n');
}
