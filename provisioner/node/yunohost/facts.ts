// All that is asked of a YunoHost node before anything is done to it. Pure: commands and parsers.

import type { FactsOf } from '../fact.ts';
import { stamps, type Stamps } from '../operation/effect.ts';
import { fileStates, type FileStates } from '../operation/files.ts';
import { unitStates, type UnitStates } from '../operation/units.ts';
import { countersSocket } from '../part/counters.ts';
import { lineCounted, lineUnit } from '../part/line.ts';
import { resolvers } from '../part/relay.ts';
import { localtime } from '../part/timezone.ts';
import { caTrusted } from '../part/trust.ts';
import { appBegun, apps, type AppState } from './app-state.ts';
import type { YunohostDesired } from './desired.ts';
import { firewallOpen, firewallUnit } from './firewall.ts';
import { apiState, apiUnits, type ApiState } from './race.ts';
import { yunohostState, type YunohostState } from './state.ts';
import { relayed, webUnit } from './web.ts';

export interface YunohostFacts {
  /** Programs that kit's own steps need. */
  missingPrograms: string[];
  /** Where YunoHost's packages come from is known to apt. */
  installable: boolean;
  localtime: string;
  /** Addresses in resolv.conf. */
  resolvers: string[];
  files: FileStates;
  stamps: Stamps;
  units: UnitStates;
  caTrusted: boolean;
  api: ApiState;
  yunohost: YunohostState;
  apps: AppState[];
  appBegun: string | undefined;
  lineCounted: boolean;
  firewallOpen: boolean;
  relayed: boolean;
}

export const units = {
  web: webUnit,
  firewall: firewallUnit,
  api: apiUnits.admin,
  portal: apiUnits.portal,
  line: lineUnit,
  counters: countersSocket,
};

const programs = ['python3', 'nft', 'curl', 'openssl', 'update-ca-certificates'];

/** @param paths of the files that the plan would write */
export function yunohostFacts(
  paths: string[],
  { domain, caCertificate }: YunohostDesired,
): FactsOf<YunohostFacts> {
  return {
    missingPrograms: {
      script: `for name in ${programs.join(' ')}; do
  command -v $name >/dev/null || echo $name
done`,
      parse: (text) => text.split('\n').filter((name) => name !== ''),
    },
    installable: {
      script: 'grep -rqsi yunohost /etc/apt/sources.list.d',
      parse: (_, exitCode) => exitCode === 0,
    },
    localtime,
    resolvers,
    files: fileStates(paths),
    stamps,
    units: unitStates(Object.values(units)),
    caTrusted: caTrusted(caCertificate),
    api: apiState,
    yunohost: yunohostState(domain),
    apps,
    appBegun,
    lineCounted,
    firewallOpen,
    relayed: relayed(domain),
  };
}
