// What an owner gets on the node at hand-over: a login of their own at home, root by the same
// passphrase, and recovery codes for the day when it is lost. Nothing is taken away yet. Pure.

import type { Fact, FactsOf } from '../../node/fact.ts';
import type { NodeKind } from '../../node/configure.ts';
import { effect, stamps, type Stamps } from '../../node/operation/effect.ts';
import { fileStates, writeFiles, type FileStates } from '../../node/operation/files.ts';
import { enableCommand, unitAmiss, unitStates } from '../../node/operation/units.ts';
import type { UnitStates } from '../../node/operation/units.ts';
import { privateRanges } from '../../node/part/ranges.ts';
import { Secret } from '../../node/secret.ts';
import type { FileWrite, Step, StepFailure } from '../../node/step.ts';
import type { Texts } from '../texts.ts';
import { codesFile, hashCodes, programFolder, recoverProgram } from './recovery-programs.ts';
import { recoveryService, serviceUnit, socketUnit } from './recovery-programs.ts';

export interface Grant {
  /** The system's user, named as on the fediverse server. */
  owner: string;
  passphrase: string;
  recoveryCodes: string[];
  /** In the owner's language. */
  texts: Texts['recover'];
  /** Programs that give the owner's other accounts a new passphrase, and what else the kind needs. */
  hooks: FileWrite[];
}

export interface GrantFacts {
  files: FileStates;
  stamps: Stamps;
  units: UnitStates;
  /** Those of the two users that are there. */
  users: string[];
  codesKept: boolean;
}

const socket = 'commons-recovery.socket';
const recoverUser = 'recover';

export const grant: NodeKind<Grant, GrantFacts> = {
  name: 'grant',
  facts: (desired) => grantFacts(desired),
  plan(desired, facts) {
    const { programs, units, sshd } = files(desired);
    return [
      ...writeFiles('Write the recovery programs', programs, facts.files),
      ...writeFiles('Write the recovery service', units, facts.files),
      ...ownerLogin(desired, facts),
      ...recoverLogin(facts),
      ...codes(desired, facts),
      ...recoverySocket([...programs, ...units], facts),
      ...writeFiles('Let the owner in by passphrase, from home', sshd, facts.files),
      ...effect(
        {
          id: 'owner-sshd',
          name: 'Have the SSH server read that',
          dependsOn: sshd,
          command: 'sshd -t\nsystemctl reload ssh',
        },
        facts.stamps,
      ),
    ];
  },
};

function grantFacts(desired: Grant): FactsOf<GrantFacts> {
  const paths = Object.values(files(desired)).flat().map(({ path }) => path);
  return {
    files: fileStates(paths),
    stamps,
    units: unitStates([socket]),
    users: {
      script: `getent passwd ${desired.owner} ${recoverUser} | cut -d : -f 1`,
      parse: (text) => text.split('\n').filter((name) => name !== ''),
    },
    codesKept: keepsCodes,
  };
}

const keepsCodes: Fact<boolean> = {
  script: `[ -e ${codesFile} ]`,
  parse: (_, exitCode) => exitCode === 0,
};

function files({ owner, texts, hooks }: Grant): Record<'programs' | 'units' | 'sshd', FileWrite[]> {
  const file = (path: string, mode: string, content: string): FileWrite => ({
    ...{ path, mode, content },
    owner: 'root:root',
  });
  const units = '/etc/systemd/system';
  return {
    programs: [
      file(`${programFolder}/recover`, '0755', recoverProgram(texts, owner)),
      file(`${programFolder}/recovery-service`, '0755', recoveryService(owner)),
      ...hooks,
    ],
    units: [
      file(`${units}/${socket}`, '0644', socketUnit),
      file(`${units}/commons-recovery@.service`, '0644', serviceUnit),
    ],
    sshd: [file('/etc/ssh/sshd_config.d/commons-kit-owner.conf', '0644', sshdConfig(owner))],
  };
}

/**
 * sshd_config(5): what a Match block says overrides the rest of the file, wherever that is read.
 * Passphrases are worth nothing against the whole internet: they open from the home alone.
 */
function sshdConfig(owner: string): string {
  const home = [...privateRanges.v4, ...privateRanges.v6].join(',');
  return `# Written by kit handover.
Match User ${owner} Address ${home}
    PasswordAuthentication yes
Match User ${recoverUser} Address ${home}
    PasswordAuthentication yes
    PermitEmptyPasswords yes
    ForceCommand ${programFolder}/recover
    DisableForwarding yes
    PermitTTY yes
Match all
`;
}

/** Users below 1000 are the system's own (Debian Policy § 9.2.2). */
const nameTaken = 3;
const ownerFailures: Record<number, StepFailure> = {
  [nameTaken]: {
    code: 'owner-name-taken',
    expected: 'a name that is none of the system’s own users',
    hint: 'Change `owner` in campaign.toml, and make the kit anew: accounts cannot be renamed.',
  },
};

/**
 * Once made, the passphrase is the owner's to change. A user who is in the node's directory has it
 * there already.
 */
function ownerLogin({ owner, passphrase }: Grant, facts: GrantFacts): Step[] {
  return effect(
    {
      id: `login-${owner}`,
      name: `Make the owner’s login, ${owner}`,
      dependsOn: 'once',
      command: `uid=$(id -u ${owner} 2>/dev/null) || uid=
[ -z "$uid" ] || [ "$uid" -ge 1000 ] || exit ${nameTaken}
[ -n "$uid" ] || useradd --create-home --shell /bin/bash ${owner}
if grep -q '^${owner}:' /etc/passwd; then chpasswd; else grep -v '^${owner}:' | chpasswd; fi`,
      input: new Secret(`${owner}:${passphrase}\nroot:${passphrase}\n`),
      failures: ownerFailures,
      amiss: facts.users.includes(owner) ? undefined : 'there is no such user',
    },
    facts.stamps,
  );
}

/** Without a password and without rights: what it gets instead of a shell asks for a code. */
function recoverLogin(facts: GrantFacts): Step[] {
  if (facts.users.includes(recoverUser)) return [];
  const shell = `${programFolder}/recover`;
  return [
    {
      name: 'Make the login for recovery codes',
      because: 'there is no such user',
      command: `useradd --system --no-create-home --home-dir / --shell ${shell} \\
  ${recoverUser}
passwd --delete --quiet ${recoverUser}`,
    },
  ];
}

/** Hashed on the node, each with a salt of its own. Spent ones are gone from the file for good. */
function codes({ recoveryCodes }: Grant, facts: GrantFacts): Step[] {
  return effect(
    {
      id: 'recovery-codes',
      name: 'Keep the recovery codes’ hashes',
      dependsOn: 'once',
      command: `umask 077
mkdir -p ${codesFile.replace(/\/[^/]*$/, '')}
${hashCodes} >${codesFile}.new
sync ${codesFile}.new
mv -f ${codesFile}.new ${codesFile}`,
      input: new Secret(recoveryCodes.map((code) => `${code}\n`).join('')),
      amiss: facts.codesKept ? undefined : 'there are none',
    },
    facts.stamps,
  );
}

function recoverySocket(dependsOn: FileWrite[], facts: GrantFacts): Step[] {
  return effect(
    {
      id: 'recovery-socket',
      name: 'Wait for recovery codes',
      dependsOn,
      command: `systemctl daemon-reload\n${enableCommand(socket, 'restart')}`,
      amiss: unitAmiss(socket, facts.units),
    },
    facts.stamps,
  );
}
