// What `kit check` has to know of a snac node.

import type { Inspection } from '../kinds.ts';
import { snacPeer } from './account.ts';
import { units } from './facts.ts';
import { countersPort, firewallLoaded } from '../part/firewall.ts';

export const snacInspection: Inspection = {
  units: Object.values(units),
  firewall: firewallLoaded,
  openPorts: [22, 80, 443, countersPort],
  account: snacPeer,
  webUnits: 'nginx.service and snac2.service',
};
