// All that is asked of a FreedomBox node before anything is done to it. Pure: commands and parsers.

import type { FactsOf } from '../fact.ts';
import { stamps, type Stamps } from '../operation/effect.ts';
import { fileStates, type FileStates } from '../operation/files.ts';
import { unitStates, type UnitStates } from '../operation/units.ts';
import { backupTimer } from '../part/backup.ts';
import { countersSocket } from '../part/counters.ts';
import { lineCounted, lineUnit } from '../part/line.ts';
import { missingPrograms } from '../part/programs.ts';
import { localtime } from '../part/timezone.ts';
import { caTrusted } from '../part/trust.ts';
import { upgradesTimer } from '../part/upgrades.ts';
import { serverJson, snacUnit, snacUsers, type ServerJson } from '../snac/server.ts';
import { apacheMissing, apacheUnit } from './apache.ts';
import type { FreedomboxHome } from './desired.ts';
import { firewallOpen, firewallUnit, linesWithoutZone } from './firewall.ts';
import { freedomboxState, type FreedomboxState } from './state.ts';

export interface FreedomboxFacts {
  /** Programs of the image that are not there. */
  missingPrograms: string[];
  hostname: string;
  localtime: string;
  files: FileStates;
  stamps: Stamps;
  units: UnitStates;
  caTrusted: boolean;
  lineCounted: boolean;
  /** Of NetworkManager's profiles: UUIDs. */
  linesWithoutZone: string[];
  firewallOpen: boolean;
  apacheMissing: string[];
  freedombox: FreedomboxState;
  server: ServerJson;
  users: Record<string, boolean>;
}

export const units = {
  plinth: 'plinth.service',
  apache: apacheUnit,
  snac: snacUnit,
  firewall: firewallUnit,
  line: lineUnit,
  counters: countersSocket,
  upgrades: upgradesTimer,
  backup: backupTimer,
};

/** `iptables`: FreedomBox's first setup never ends without it. */
const programs = [
  ...['plinth', 'snac', 'apache2ctl', 'firewall-cmd', 'nmcli', 'iptables', 'nft'],
  ...['ldapsearch', 'ldapdelete', 'curl', 'python3', 'update-ca-certificates', 'unattended-upgrade', 'zstd'],
];

/** @param paths of the files that the plan would write */
export function freedomboxFacts(
  paths: string[],
  { owner, caCertificate }: FreedomboxHome,
): FactsOf<FreedomboxFacts> {
  return {
    missingPrograms: missingPrograms(programs),
    hostname: { script: 'cat /proc/sys/kernel/hostname', parse: (text) => text },
    localtime,
    files: fileStates(paths),
    stamps,
    units: unitStates(Object.values(units)),
    caTrusted: caTrusted(caCertificate),
    lineCounted,
    linesWithoutZone,
    firewallOpen,
    apacheMissing,
    freedombox: freedomboxState(owner),
    server: serverJson,
    users: snacUsers,
  };
}
