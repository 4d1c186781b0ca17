// The two counters of what went through the home's line, where the node's firewall is another's
// (FreedomBox's firewalld): a table of our own that only counts, loaded by a unit of our own at
// every boot. Loading it again keeps the counters. Pure.

import type { Fact } from '../fact.ts';
import { effect, type Stamps } from '../operation/effect.ts';
import { writeFiles, type FileStates } from '../operation/files.ts';
import { enableCommand, unitAmiss, type UnitStates } from '../operation/units.ts';
import type { FileWrite, Step } from '../step.ts';
import { lineChains, lineCounters } from './line-chains.ts';

export const lineUnit = 'commons-line.service';

export const lineRulesPath = '/etc/commons-kit/line.nft';

/** Counts before any firewall has dropped a packet, as a snac node does (firewall.ts). */
const rules = `#!/usr/sbin/nft -f
# Written by kit configure: changes made here are undone by its next run.

table inet commons
flush table inet commons

table inet commons {
${lineCounters}

${lineChains}
}
`;

const unit = `[Unit]
Description=Count what goes through the home's line
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
After=local-fs.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f ${lineRulesPath}

[Install]
WantedBy=multi-user.target
`;

export const lineFiles: FileWrite[] = [
  { path: lineRulesPath, mode: '0644', owner: 'root:root', content: rules },
  { path: `/etc/systemd/system/${lineUnit}`, mode: '0644', owner: 'root:root', content: unit },
];

export function lineSteps(facts: {
  files: FileStates;
  stamps: Stamps;
  units: UnitStates;
  lineCounted: boolean;
}): Step[] {
  return [
    ...writeFiles('Write the counters of the home’s line', lineFiles, facts.files),
    ...effect(
      {
        id: 'line',
        name: 'Count what goes through the home’s line, now and at every boot',
        dependsOn: lineFiles,
        command: `systemctl daemon-reload\n${enableCommand(lineUnit, 'restart')}`,
        amiss: facts.lineCounted ? unitAmiss(lineUnit, facts.units) : 'nothing is counted',
      },
      facts,
    ),
  ];
}

/** Whether the counters are in the kernel, and rules that raise them. */
export const lineCounted: Fact<boolean> = {
  script: 'nft list table inet commons',
  parse: (listing) =>
    ['wan_in', 'wan_out'].every(
      (name) => listing.includes(`counter ${name} {`) && listing.includes(`counter name "${name}"`),
    ),
};
