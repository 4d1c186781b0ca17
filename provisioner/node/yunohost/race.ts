// Before the postinstall, `POST /yunohost/api/postinstall` takes anybody on the network for the
// owner (FACTS). kit's image starts that service only afterwards; where another image does not, it
// is stopped and told to wait. That nothing listens is a fact, and is looked at once more by the
// step that does the postinstall. Pure.

import { effect, type Stamps } from '../operation/effect.ts';
import type { FileStates } from '../operation/files.ts';
import { unitAmiss, type UnitStates } from '../operation/units.ts';
import type { Fact } from '../fact.ts';
import type { FileWrite, Step } from '../step.ts';
import { openCode, refusalFailures } from './session.ts';
import { markPath } from './state.ts';

export const apiUnits = { admin: 'yunohost-api.service', portal: 'yunohost-portal-api.service' };

/** bin/yunohost-api: DEFAULT_PORT = 6787; nginx passes /yunohost/api on to it. */
const apiPort = 6787;

/** proc(5), /proc/net/tcp: the local address's port in hex, 0A is LISTEN. */
export const apiListens = `grep -qE ':${apiPort.toString(16).toUpperCase()} \\S+ 0A ' \\
  /proc/net/tcp /proc/net/tcp6`;

export interface ApiState {
  /** It starts only once the postinstall is marked as done. */
  waits: boolean;
  listens: boolean;
}

export const apiState: Fact<ApiState> = {
  script: `systemctl cat ${apiUnits.admin} |
  grep -qx 'ConditionPathExists=${markPath}' && echo waits
${apiListens} && echo listens
true`,
  parse: (text) => {
    const lines = text.split('\n');
    return { waits: lines.includes('waits'), listens: lines.includes('listens') };
  },
};

export const waitFiles: FileWrite[] = Object.values(apiUnits).map((unit) => ({
  path: `/etc/systemd/system/${unit}.d/commons-kit.conf`,
  mode: '0644',
  owner: 'root:root',
  content: `# Written by kit configure: whoever reaches it before then may own the node.
[Unit]
ConditionPathExists=${markPath}
`,
}));

/** Once those files are there. */
export const shutCommand = `systemctl daemon-reload
systemctl stop ${Object.values(apiUnits).join(' ')}
! ${apiListens} || exit ${openCode}`;

/** First of all, while the postinstall is not marked as done. */
export function shutSteps(facts: { api: ApiState; yunohost: { marked: boolean } }): Step[] {
  const { api, yunohost } = facts;
  if (yunohost.marked || (api.waits && !api.listens)) return [];
  return [
    {
      name: 'Shut YunoHost’s API until its postinstall is done',
      because: api.listens ? 'anybody on the network could do it' : 'it would start at any moment',
      files: waitFiles,
      command: shutCommand,
      failures: refusalFailures,
    },
  ];
}

/** Afterwards it is the owner's way to administer the node. */
export function apiSteps(facts: { stamps: Stamps; files: FileStates; units: UnitStates }): Step[] {
  const units = Object.values(apiUnits);
  return effect(
    {
      id: 'yunohost-api',
      name: 'Start YunoHost’s API',
      dependsOn: 'once',
      command: `systemctl --no-reload enable -q ${units.join(' ')}
systemctl start ${units.join(' ')}`,
      amiss: units.map((unit) => unitAmiss(unit, facts.units)).find((why) => why !== undefined),
    },
    facts,
  );
}
