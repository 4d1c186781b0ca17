// FreedomBox's firewall is firewalld, and FreedomBox opens ports in it for its applications. All
// that is added is the meter's way to the counters: from the home's own addresses, in whichever of
// its two zones the home's line is. Pure.

import type { Fact } from '../fact.ts';
import { effect, type Stamps } from '../operation/effect.ts';
import type { FileStates } from '../operation/files.ts';
import type { Step } from '../step.ts';
import { countersPort } from '../part/firewall.ts';
import { privateRanges } from '../part/ranges.ts';

export const firewallUnit = 'firewalld.service';

const zones = ['internal', 'external'];

/**
 * In firewalld.richlanguage(5)'s words, as it lists them. One a range: FreedomBox has firewalld use
 * iptables for some rules, and sets of addresses would then take a program that Debian leaves out.
 */
const richRules = [
  ...privateRanges.v4.map((range) => richRule('ipv4', range)),
  ...privateRanges.v6.map((range) => richRule('ipv6', range)),
];

function richRule(family: string, range: string): string {
  const port = `port port="${countersPort}" protocol="tcp"`;
  return `rule family="${family}" source address="${range}" ${port} accept`;
}

/** It goes on running after a configuration that it could not take, and then takes nothing. */
const awake = `firewall-cmd -q --state || systemctl restart ${firewallUnit}`;

export function firewallSteps(facts: {
  stamps: Stamps;
  files: FileStates;
  firewallOpen: boolean;
}): Step[] {
  const added = richRules.map((rule) => ` \\\n  --add-rich-rule='${rule}'`).join('');
  const adding = zones.map((zone) => `firewall-cmd -q --permanent --zone=${zone}${added}`);
  return effect(
    {
      id: 'firewall',
      name: 'Let the meter reach the counters',
      dependsOn: richRules,
      command: [awake, ...adding, 'firewall-cmd -q --reload'].join('\n'),
      amiss: facts.firewallOpen ? undefined : 'firewalld has no rule for them',
    },
    facts,
  );
}

/** firewalld runs, with our rules in both of FreedomBox's zones. */
export const firewallOpen: Fact<boolean> = {
  script: `for zone in ${zones.join(' ')}; do
  firewall-cmd --zone=$zone --list-rich-rules
done`,
  parse: (text) => {
    const lines = text.split('\n');
    return richRules.every((rule) => lines.filter((line) => line === rule).length === zones.length);
  },
};
