// What `kit check` has to know of a YunoHost node.

import type { Campaign } from '../../campaign/campaign.ts';
import type { Inspection } from '../kinds.ts';
import { countersPort } from '../part/firewall.ts';
import { snacPeer } from '../snac/account.ts';
import { snacApp } from './counted.ts';
import { complaints } from './diagnosis.ts';
import { unitsOf } from './facts.ts';
import { firewallOpen } from './firewall.ts';

/** YunoHost's firewall opens these from the start (its conf/yunohost/firewall.yml): mail. */
const mailPorts = [25, 587, 993];

export function yunohostInspection({ yunohost: { app } }: Campaign): Inspection {
  const { folder, user: runAs, program } = snacApp;
  return {
    units: unitsOf(app),
    firewall: firewallOpen,
    openPorts: [22, 80, 443, countersPort, ...mailPorts],
    account: app === 'snac'
      ? (owner, shell) => snacPeer({ ...owner, folder, runAs, program }, shell)
      : undefined,
    diagnosis: complaints,
    webUnits: `nginx.service and ${app}.service`,
  };
}
