// What `kit check` has to know of a snac node.

import type { Campaign } from '../../campaign/campaign.ts';
import type { Inspection } from '../kinds.ts';
import { acmeTimer } from '../part/acme.ts';
import { countersPort, firewallLoaded } from '../part/firewall.ts';
import { snacPeer } from './account.ts';
import { units } from './facts.ts';

export function snacInspection({ acme }: Pick<Campaign, 'acme'>): Inspection {
  return {
    units: [...Object.values(units), ...(acme === undefined ? [] : [acmeTimer])],
    firewall: firewallLoaded,
    openPorts: [22, 80, 443, countersPort],
    account: snacPeer,
    webUnits: 'nginx.service and snac2.service',
  };
}
