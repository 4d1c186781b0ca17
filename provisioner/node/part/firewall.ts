// The node's firewall, and the two counters of what went through the home's line. Loading it again
// keeps the counters: the table is emptied of rules, never deleted. Pure.

import type { Fact } from '../fact.ts';
import { effect, type Stamps } from '../operation/effect.ts';
import { writeFiles, type FileStates } from '../operation/files.ts';
import { enableCommand, unitAmiss, type UnitStates } from '../operation/units.ts';
import type { FileWrite, Step } from '../step.ts';
import { lineChains, lineCounters } from './line-chains.ts';
import { privateRanges } from './ranges.ts';

export const countersPort = 8010;

/** The rules as `nft -f` reads them at every boot. */
export function firewallRules(): string {
  return `#!/usr/sbin/nft -f
# Written by kit configure: changes made here are undone by its next run.

table inet commons
flush table inet commons

table inet commons {
${lineCounters}

    set lan4 {
        type ipv4_addr
        flags interval
        elements = { ${[...privateRanges.v4].join(', ')} }
    }
    set lan6 {
        type ipv6_addr
        flags interval
        elements = { ${privateRanges.v6.join(', ')} }
    }
${lineChains}

    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif lo accept
        ct state invalid drop
        meta l4proto { icmp, ipv6-icmp } accept
        udp dport 68 accept
        ip6 saddr fe80::/10 udp dport 546 accept
        tcp dport { 80, 443 } accept
        ip saddr @lan4 tcp dport { 22, ${countersPort} } accept
        ip6 saddr @lan6 tcp dport { 22, ${countersPort} } accept
    }
    chain forward {
        type filter hook forward priority filter; policy drop;
    }
}
`;
}

export const firewallUnit = 'nftables.service';

export const firewallFile: FileWrite = {
  path: '/etc/nftables.conf',
  mode: '0755',
  owner: 'root:root',
  content: firewallRules(),
};

export function firewallSteps(facts: {
  files: FileStates;
  stamps: Stamps;
  units: UnitStates;
  firewallLoaded: boolean;
}): Step[] {
  return [
    ...writeFiles('Write the firewall’s rules', [firewallFile], facts.files),
    ...effect(
      {
        id: 'firewall',
        name: 'Load the firewall, now and at every boot',
        dependsOn: [firewallFile],
        // Loaded first: starting the unit then changes nothing, and counters go on from zero once.
        command: `nft -f ${firewallFile.path}\n${enableCommand(firewallUnit, 'start')}`,
        amiss: facts.firewallLoaded
          ? unitAmiss(firewallUnit, facts.units)
          : 'its rules are not loaded',
      },
      facts,
    ),
  ];
}

/**
 * Whether the kernel holds these rules and no others in our table: what it lists for them is asked
 * of nft itself, in a network namespace that nothing goes through. Counts are left out (`-s`).
 */
export const firewallLoaded: Fact<boolean> = {
  script: `list='nft -s list table inet commons'
live=$($list) && told=$(unshare -n sh -c "nft -f - && $list" <<'RULES'
${firewallRules()}RULES
) && [ "$live" = "$told" ]`,
  parse: (_, exitCode) => exitCode === 0,
};
