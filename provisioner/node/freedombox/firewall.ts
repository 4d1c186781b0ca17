// FreedomBox's firewall is firewalld, and FreedomBox opens ports in it for its applications: in its
// internal zone those for the home, in its external one those for everybody. The home's line is put
// into the internal one, and the meter's way to the counters is added: from the home's own addresses,
// in both, since the line is its owner's to move. Pure.

import type { Fact } from '../fact.ts';
import { effect, type Stamps } from '../operation/effect.ts';
import type { FileStates } from '../operation/files.ts';
import type { Step } from '../step.ts';
import { countersPort } from '../part/firewall.ts';
import { privateRanges } from '../part/ranges.ts';

export const firewallUnit = 'firewalld.service';

const zones = ['internal', 'external'];

/**
 * Profiles of NetworkManager's, by UUID, that are in use and say nothing of a zone: their line is in
 * the default one, which FreedomBox's first setup makes `external`. There nobody in the home finds
 * the node by its name, nor what an application opens for the home alone.
 */
export const linesWithoutZone: Fact<string[]> = {
  script: `nmcli -t -f UUID,TYPE connection show --active |
  sed -n -e 's/:802-3-ethernet$//p' -e 's/:802-11-wireless$//p' |
  while read -r uuid; do
    [ -n "$(nmcli -g connection.zone connection show "$uuid")" ] || echo "$uuid"
  done`,
  parse: (text) => text.split('\n').filter((uuid) => /^[0-9a-f-]{36}$/.test(uuid)),
};

/** As FreedomBox's own images have it where one line leads to the home's router. */
export function zoneSteps({ linesWithoutZone: lines }: { linesWithoutZone: string[] }): Step[] {
  if (lines.length === 0) return [];
  return [
    {
      name: 'Put the home’s line into FreedomBox’s internal zone',
      because: 'it is in none of its own',
      command: lines
        .map((uuid) => `nmcli connection modify ${uuid} connection.zone internal`)
        .join('\n'),
    },
  ];
}

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
