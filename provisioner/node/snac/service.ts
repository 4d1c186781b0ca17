// The steps to a snac that serves its domain and its owner, on whatever sort of node, whichever web
// server stands before it. Pure.

import { KitError } from '../../errors.ts';
import { effect, type Stamps } from '../operation/effect.ts';
import type { FileStates } from '../operation/files.ts';
import { unitAmiss, type UnitStates } from '../operation/units.ts';
import type { Step } from '../step.ts';
import type { SnacHome } from './desired.ts';
import { ownerCommand, passwordHash, restartCommand } from './server.ts';
import { serverFile, serverSettings, snacUnit, type ServerJson } from './server.ts';

export function snacSteps(
  desired: SnacHome,
  facts: {
    stamps: Stamps;
    files: FileStates;
    units: UnitStates;
    server: ServerJson;
    users: Record<string, boolean>;
  },
): Step[] {
  const { owner } = desired;
  const made = facts.stamps[`owner-${owner}`] !== undefined;
  if (made && facts.users[owner] === false) throw accountDamaged(desired);
  // A new account would have another key, under the same name.
  if (!desired.ownerPassphrase && !facts.users[owner]) throw accountDamaged(desired);
  const written = serverFile(desired, facts.server, Object.keys(facts.users));
  const settings: Step[] = written
    ? [{ name: 'Give snac its domain', because: 'server.json differs', files: [written] }]
    : [];
  return [
    ...settings,
    ...effect(
      {
        id: `owner-${owner}`,
        name: `Make the owner’s account, ${owner}`,
        // Once made, the password is the owner's to change: nothing that we know makes it due.
        dependsOn: 'once',
        command: ownerCommand(owner),
        ...(desired.ownerPassphrase && { input: passwordHash(owner, desired.ownerPassphrase) }),
        timeoutS: 300,
        amiss: facts.users[owner] === true ? undefined : 'there is no such account',
      },
      facts,
    ),
    ...effect(
      {
        id: 'snac',
        name: 'Start snac with its settings',
        dependsOn: [JSON.stringify(serverSettings(desired))],
        command: restartCommand(),
        timeoutS: 200,
        amiss: unitAmiss(snacUnit, facts.units),
      },
      facts,
    ),
  ];
}

function accountDamaged({ hostname, owner }: SnacHome): KitError {
  return new KitError({
    code: 'account-damaged',
    message: `${owner}’s account on ${hostname} has lost its key or its settings`,
    expected: `user.json and key.json in /var/lib/snac2/user/${owner}`,
    got: 'one of them missing or empty',
    hint: 'Restore it from a backup: making it anew would cut it off from all its followers.',
  });
}
