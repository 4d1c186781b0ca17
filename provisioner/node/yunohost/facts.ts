// All that is asked of a YunoHost node before anything is done to it. Pure: commands and parsers.

import type { YunohostApp } from '../../campaign/campaign.ts';
import type { FactsOf } from '../fact.ts';
import { stamps, type Stamps } from '../operation/effect.ts';
import { fileStates, type FileStates } from '../operation/files.ts';
import { unitStates, type UnitStates } from '../operation/units.ts';
import { backupTimer } from '../part/backup.ts';
import { countersSocket } from '../part/counters.ts';
import { lineCounted, lineUnit } from '../part/line.ts';
import { missingPrograms } from '../part/programs.ts';
import { resolvers } from '../part/relay.ts';
import { localtime } from '../part/timezone.ts';
import { caTrusted } from '../part/trust.ts';
import { upgradesTimer } from '../part/upgrades.ts';
import { appUnit } from './app.ts';
import { appBegun, apps, type AppState } from './app-state.ts';
import { certified, type Certified } from './certificate.ts';
import type { YunohostHome } from './desired.ts';
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
  certified: Certified;
}

export const units = {
  web: webUnit,
  firewall: firewallUnit,
  api: apiUnits.admin,
  portal: apiUnits.portal,
  line: lineUnit,
  counters: countersSocket,
  upgrades: upgradesTimer,
  backup: backupTimer,
};

/** With the application that the campaign chose. */
export const unitsOf = (app: YunohostApp): string[] => [...Object.values(units), appUnit(app)];

const programs = ['python3', 'nft', 'curl', 'openssl', 'awk', 'update-ca-certificates'];

/** @param paths of the files that the plan would write */
export function yunohostFacts(
  paths: string[],
  { app, domain, caCertificate }: YunohostHome,
): FactsOf<YunohostFacts> {
  return {
    missingPrograms: missingPrograms(programs),
    installable: {
      script: 'grep -rqsi yunohost /etc/apt/sources.list.d',
      parse: (_, exitCode) => exitCode === 0,
    },
    localtime,
    resolvers,
    files: fileStates(paths),
    stamps,
    units: unitStates(unitsOf(app)),
    caTrusted: caTrusted(caCertificate),
    api: apiState,
    yunohost: yunohostState(domain),
    apps,
    appBegun,
    lineCounted,
    firewallOpen,
    relayed: relayed(domain),
    certified: certified(domain),
  };
}
