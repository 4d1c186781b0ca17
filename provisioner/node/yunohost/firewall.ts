// YunoHost's firewall is its own: it loads every file in /etc/nftables.d after emptying all there
// is, also the table that counts the line (part/line.ts). One file there lets the meter reach the
// counters from the home's own addresses, and puts that table back each time. Pure.

import type { Fact } from '../fact.ts';
import { effect, type Stamps } from '../operation/effect.ts';
import { writeFiles, type FileStates } from '../operation/files.ts';
import { unitAmiss, type UnitStates } from '../operation/units.ts';
import { countersPort } from '../part/firewall.ts';
import { lineRulesPath } from '../part/line.ts';
import { privateRanges } from '../part/ranges.ts';
import type { FileWrite, Step } from '../step.ts';

export const firewallUnit = 'nftables.service';

const comment = 'commons counters';
const accepted = `tcp dport ${countersPort} accept comment "${comment}"`;

/** YunoHost's chain, as its nftables.conf names it; rules in it add up whatever their order. */
const rules = `# Written by kit configure: changes made here are undone by its next run.
include "${lineRulesPath}"

table inet filter {
    chain input {
        ip saddr { ${privateRanges.v4.join(', ')} } ${accepted}
        ip6 saddr { ${privateRanges.v6.join(', ')} } ${accepted}
    }
}
`;

export const firewallFile: FileWrite = {
  path: '/etc/nftables.d/commons-kit.conf',
  mode: '0644',
  owner: 'root:root',
  content: rules,
};

export function firewallSteps(facts: {
  files: FileStates;
  stamps: Stamps;
  units: UnitStates;
  firewallOpen: boolean;
}): Step[] {
  return [
    ...writeFiles('Write the meter’s way through YunoHost’s firewall', [firewallFile], facts.files),
    ...effect(
      {
        id: 'firewall',
        name: 'Load YunoHost’s firewall with it',
        dependsOn: [firewallFile],
        // As YunoHost does itself: its own hooks hang on the start.
        command: `nft -c -f /etc/nftables.conf
systemctl --no-reload enable -q ${firewallUnit}
systemctl restart ${firewallUnit}`,
        amiss: facts.firewallOpen
          ? unitAmiss(firewallUnit, facts.units)
          : 'YunoHost’s rules, or ours within them, are not loaded',
      },
      facts,
    ),
  ];
}

/** YunoHost's rules are in the kernel, with ours among them. */
export const firewallOpen: Fact<boolean> = {
  script: 'nft list chain inet filter input',
  parse: (listing) =>
    listing.includes('policy drop') &&
    listing.split('\n').filter((line) => line.includes(`comment "${comment}"`)).length === 2,
};
