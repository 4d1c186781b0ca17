// All that is asked of a snac node before anything is done to it. Pure: commands and parsers.

import type { FactsOf } from '../fact.ts';
import { stamps, type Stamps } from '../operation/effect.ts';
import { fileStates, type FileStates } from '../operation/files.ts';
import { installedPackages } from '../operation/packages.ts';
import { unitStates, type UnitStates } from '../operation/units.ts';
import { acmePackages, acmeTimer, servedPath } from '../part/acme.ts';
import { backupTimer } from '../part/backup.ts';
import { countersSocket } from '../part/counters.ts';
import { firewallLoaded, firewallUnit } from '../part/firewall.ts';
import { missingPrograms } from '../part/programs.ts';
import { resolvers } from '../part/relay.ts';
import { localtime } from '../part/timezone.ts';
import { caTrusted } from '../part/trust.ts';
import { upgradesTimer } from '../part/upgrades.ts';
import type { SnacDesired } from './desired.ts';
import { serverJson, snacUnit, snacUsers, type ServerJson } from './server.ts';

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
  /** Of {@link acmePackages}; none where they are not wanted. */
  packages: string[];
  /** What nginx serves is there, where the node obtains its certificate by itself. */
  served: boolean;
  server: ServerJson;
  users: Record<string, boolean>;
}

export const units = {
  nginx: 'nginx.service',
  snac: snacUnit,
  firewall: firewallUnit,
  counters: countersSocket,
  upgrades: upgradesTimer,
  backup: backupTimer,
};

const acmeNeeds = { packages: acmePackages, units: [acmeTimer] };

export const welcomePagePath = '/etc/nginx/sites-enabled/default';

const programs = ['snac', 'nginx', 'nft', 'update-ca-certificates', 'unattended-upgrade', 'awk', 'zstd'];

/** @param paths of the files that the plan would write */
export function snacFacts(
  paths: string[],
  { caCertificate, acme }: Pick<SnacDesired, 'caCertificate' | 'acme'>,
): FactsOf<SnacFacts> {
  const wanted = acme === undefined ? { packages: [], units: [] } : acmeNeeds;
  return {
    missingPrograms: missingPrograms(programs),
    hostname: { script: 'cat /proc/sys/kernel/hostname', parse: (text) => text },
    localtime,
    resolvers,
    files: fileStates(paths),
    stamps,
    units: unitStates([...Object.values(units), ...wanted.units]),
    caTrusted: caTrusted(caCertificate),
    firewallLoaded,
    welcomePage: {
      script: `[ -e ${welcomePagePath} ] || [ -L ${welcomePagePath} ]`,
      parse: (_, exitCode) => exitCode === 0,
    },
    packages: installedPackages(wanted.packages),
    served: { script: `[ -s ${servedPath} ]`, parse: (_, exitCode) => exitCode === 0 },
    server: serverJson,
    users: snacUsers,
  };
}
