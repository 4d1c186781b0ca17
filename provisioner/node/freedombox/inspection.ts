// What `kit check` has to know of a FreedomBox node.

import type { Inspection } from '../kinds.ts';
import { countersPort } from '../part/firewall.ts';
import { snacPeer } from '../snac/account.ts';
import { snacPrefix } from './desired.ts';
import { units } from './facts.ts';
import { firewallOpen } from './firewall.ts';

/** FreedomBox opens name service to the home, for networks that it shares. */
const nameServicePort = 53;

export const freedomboxInspection: Inspection = {
  units: Object.values(units),
  firewall: firewallOpen,
  openPorts: [22, nameServicePort, 80, 443, countersPort],
  account: (owner, shell) => snacPeer({ ...owner, prefix: snacPrefix }, shell),
  webUnits: 'apache2.service and snac2.service',
};
