// All that is asked of a snac node before anything is done to it. Pure: commands and parsers.

import { FactError, type Fact, type FactsOf } from '../fact.ts';
import { stamps, type Stamps } from '../operation/effect.ts';
import { fileStates, type FileStates } from '../operation/files.ts';
import { unitStates, type UnitStates } from '../operation/units.ts';
import { countersSocket } from './counters.ts';
import { firewallLoaded } from './firewall.ts';
import { serverJson, snacUsers, type ServerJson } from './server.ts';

export interface SnacFacts {
  /** Programs of the image that are not there. */
  missingPrograms: string[];
  hostname: string;
  /** The target of /etc/localtime. */
  localtime: string;
  /** Addresses in resolv.conf. */
  resolvers: string[];
  files: FileStates;
  stamps: Stamps;
  units: UnitStates;
  /** The campaign's authority is in the bundle that snac and nginx read. */
  caTrusted: boolean;
  firewallLoaded: boolean;
  /** Debian's welcome page, which would take the domain's requests. */
  welcomePage: boolean;
  server: ServerJson;
  users: Record<string, boolean>;
}

export const units = {
  nginx: 'nginx.service',
  snac: 'snac2.service',
  firewall: 'nftables.service',
  counters: countersSocket,
  upgrades: 'apt-daily-upgrade.timer',
};

/** The first boot writes the same file. */
export const caPath = '/usr/local/share/ca-certificates/campaign.crt';
export const welcomePagePath = '/etc/nginx/sites-enabled/default';

const programs = ['snac', 'nginx', 'nft', 'update-ca-certificates', 'unattended-upgrade', 'awk'];

/** @param paths of the files that the plan would write @param caCertificate PEM */
export function snacFacts(paths: string[], caCertificate: string): FactsOf<SnacFacts> {
  return {
    missingPrograms: {
      script: `for name in ${programs.join(' ')}; do
  command -v $name >/dev/null || echo $name
done`,
      parse: (text) => text.split('\n').filter((name) => name !== ''),
    },
    hostname: { script: 'cat /proc/sys/kernel/hostname', parse: (text) => text },
    localtime: { script: 'readlink /etc/localtime', parse: (text) => text },
    resolvers,
    files: fileStates(paths),
    stamps,
    units: unitStates(Object.values(units)),
    caTrusted: {
      script: `tr -d '\\n' </etc/ssl/certs/ca-certificates.crt |
  grep -qF ${pemBody(caCertificate)}`,
      parse: (_, exitCode) => exitCode === 0,
    },
    firewallLoaded: { script: 'nft list table inet commons', parse: firewallLoaded },
    welcomePage: {
      script: `[ -e ${welcomePagePath} ] || [ -L ${welcomePagePath} ]`,
      parse: (_, exitCode) => exitCode === 0,
    },
    server: serverJson,
    users: snacUsers,
  };
}

/** Base64 alone: safe as a word of the shell, and as a bundle has it without its line ends. */
function pemBody(pem: string): string {
  return pem.replace(/-----[A-Z ]+-----|[^A-Za-z0-9+/=]/g, '');
}

/** resolv.conf(5) takes three; nginx cannot use addresses bound to an interface (`%`). */
const resolvers: Fact<string[]> = {
  script: 'cat /etc/resolv.conf',
  parse(text) {
    const addresses = [...text.matchAll(/^nameserver\s+([0-9a-fA-F.:]+)\s*$/gm)];
    if (addresses.length === 0) throw new FactError('a nameserver in /etc/resolv.conf', text);
    return addresses.slice(0, 3).map((match) => match[1]);
  },
};
