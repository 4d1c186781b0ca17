// Debian's automatic security updates. Pure.

import { effect, type Stamps } from '../operation/effect.ts';
import { writeFiles, type FileStates } from '../operation/files.ts';
import { enableCommand, unitAmiss, type UnitStates } from '../operation/units.ts';
import type { FileWrite, Step } from '../step.ts';

export const upgradesTimer = 'apt-daily-upgrade.timer';

export const upgradesFile: FileWrite = {
  path: '/etc/apt/apt.conf.d/20auto-upgrades',
  mode: '0644',
  owner: 'root:root',
  content: `APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
APT::Periodic::AutocleanInterval "7";
`,
};

export function upgradesSteps(facts: {
  files: FileStates;
  stamps: Stamps;
  units: UnitStates;
}): Step[] {
  return [
    ...writeFiles('Switch automatic security updates on', [upgradesFile], facts.files),
    ...effect(
      {
        id: 'upgrades',
        name: 'Start automatic security updates',
        dependsOn: [upgradesFile],
        command: enableCommand(upgradesTimer, 'start'),
        amiss: unitAmiss(upgradesTimer, facts.units),
      },
      facts,
    ),
  ];
}
