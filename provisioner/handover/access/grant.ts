// What an owner gets on the node at hand-over: a login of their own at home, root by the same
// passphrase, and recovery codes for the day when it is lost. Nothing is taken away yet. Pure.

import { KitError } from '../../errors.ts';
import type { Fact, FactsOf } from '../../node/fact.ts';
import type { NodeKind } from '../../node/configure.ts';
import { effect, stamps, type Stamps } from '../../node/operation/effect.ts';
import { fileStates, writeFiles, type FileStates } from '../../node/operation/files.ts';
import { enableCommand, unitAmiss, unitStates } from '../../node/operation/units.ts';
import type { UnitStates } from '../../node/operation/units.ts';
import { backupProgram } from '../../node/part/backup.ts';
import { cryptCommand } from '../../node/part/crypt.ts';
import { privateRanges } from '../../node/part/ranges.ts';
import { accessPath, atHome, type SshdReading } from '../../node/part/sshd.ts';
import { Secret } from '../../node/secret.ts';
import type { FileWrite, Step, StepFailure } from '../../node/step.ts';
import type { Texts } from '../texts.ts';
import { codesFile, programFolder, recoverProgram, recoverUser } from './recovery-programs.ts';
import { recoveryService, serviceUnit, socketUnit } from './recovery-programs.ts';

export interface Grant {
  /** The system's user, named as on the fediverse server. */
  owner: string;
  /** Undefined: nobody but the owner knows them, and the node has them already, from a backup. */
  secrets: { passphrase: string; recoveryCodes: string[] } | undefined;
  /** In the owner's language. */
  texts: Texts['recover'];
  /** Programs that give the owner's other accounts a new passphrase, and what else the kind needs. */
  hooks: FileWrite[];
  /** How the node's SSH server comes to read whom to let in. */
  reading: SshdReading;
}

export interface GrantFacts {
  files: FileStates;
  stamps: Stamps;
  units: UnitStates;
  /** Those of the two users that are there. */
  users: string[];
  codesKept: boolean;
  /** What the SSH server would do with each of the two, coming from home. */
  asOwner: string[];
  asRecover: string[];
}

const socket = 'commons-recovery.socket';

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
      ...sshdReads(desired, sshd, facts),
      ...backUp(facts),
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
    asOwner: atHome(desired.owner),
    asRecover: atHome(recoverUser),
  };
}

const keepsCodes: Fact<boolean> = {
  script: `[ -e ${codesFile} ]`,
  parse: (_, exitCode) => exitCode === 0,
};

function files(
  { owner, texts, hooks, reading }: Grant,
): Record<'programs' | 'units' | 'sshd', FileWrite[]> {
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
    sshd: [file(accessPath, '0644', sshdConfig(owner)), ...reading.files],
  };
}

/**
 * sshd_config(5): what a Match block says overrides the rest of the file, wherever that is read;
 * with AllowGroups, a restriction to groups that `recover` is in none of. Passphrases are worth
 * nothing against the whole internet: they open from the home alone.
 */
function sshdConfig(owner: string): string {
  const home = [...privateRanges.v4, ...privateRanges.v6].join(',');
  return `# Written by kit handover.
Match User ${owner} Address ${home}
${lines(ownersWay)}
Match User ${recoverUser} Address ${home}
${lines(recoversWay)}
Match all
`;
}

const ownersWay = ['PasswordAuthentication yes'];
const recoversWay = [
  ...['PasswordAuthentication yes', 'PermitEmptyPasswords yes', `AllowGroups ${recoverUser}`],
  ...[`ForceCommand ${programFolder}/recover`, 'DisableForwarding yes', 'PermitTTY yes'],
];

const lines = (settings: string[]): string => settings.map((line) => `    ${line}`).join('\n');

function sshdReads({ reading }: Grant, sshd: FileWrite[], facts: GrantFacts): Step[] {
  const { command, timeoutS, failures } = reading;
  const ways: [told: string[], way: string[]][] = [
    [facts.asOwner, ownersWay],
    [facts.asRecover, recoversWay],
  ];
  // sshd -T prints keywords in lower case, and values as they are.
  const isRead = ways.every(([told, way]) =>
    way.every((line) => told.includes(line.replace(/^\S+/, (keyword) => keyword.toLowerCase()))));
  return effect(
    {
      id: 'owner-sshd',
      name: 'Have the SSH server read that',
      dependsOn: sshd,
      ...{ command, timeoutS, failures },
      amiss: isRead ? undefined : 'the SSH server would not do as it says',
    },
    facts,
  );
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
function ownerLogin({ owner, secrets }: Grant, facts: GrantFacts): Step[] {
  const steps = effect(
    {
      id: `login-${owner}`,
      name: `Make the owner’s login, ${owner}`,
      dependsOn: 'once',
      command: `uid=$(id -u ${owner} 2>/dev/null) || uid=
[ -z "$uid" ] || [ "$uid" -ge 1000 ] || exit ${nameTaken}
[ -n "$uid" ] || useradd --create-home --shell /bin/bash ${owner}
if grep -q '^${owner}:' /etc/passwd; then chpasswd; else grep -v '^${owner}:' | chpasswd; fi`,
      ...(secrets && { input: new Secret(credentials([owner, 'root'], secrets.passphrase)) }),
      failures: ownerFailures,
      amiss: facts.users.includes(owner) ? undefined : 'there is no such user',
    },
    facts,
  );
  return steps.length === 0 || secrets ? steps : refuseUnknown('login');
}

/** As chpasswd(8) reads them. */
function credentials(users: string[], passphrase: string): string {
  return users.map((user) => `${user}:${passphrase}\n`).join('');
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
function codes({ secrets }: Grant, facts: GrantFacts): Step[] {
  const steps = effect(
    {
      id: 'recovery-codes',
      name: 'Keep the recovery codes’ hashes',
      dependsOn: 'once',
      command: `umask 077
mkdir -p ${codesFile.replace(/\/[^/]*$/, '')}
${cryptCommand('sha512crypt')} >${codesFile}.new
sync ${codesFile}.new
mv -f ${codesFile}.new ${codesFile}`,
      ...(secrets && { input: new Secret(secrets.recoveryCodes.map((code) => `${code}\n`).join('')) }),
      amiss: facts.codesKept ? undefined : 'there are none',
    },
    facts,
  );
  return steps.length === 0 || secrets ? steps : refuseUnknown('recovery codes');
}

function refuseUnknown(what: string): never {
  throw new KitError({
    code: 'owner-secrets-unknown',
    message: `The node has lost the owner’s ${what}, and the bench does not know any more what to give`,
    expected: 'what the backup held to be there still',
    got: 'none',
    hint: 'Write the drive anew, and restore it again.',
  });
}

/** The first one that holds what a new drive needs to open for its owner. */
function backUp(facts: GrantFacts): Step[] {
  return effect(
    {
      id: 'owner-backup',
      name: 'Back up the owner’s login with the rest',
      dependsOn: 'once',
      command: `if [ -x ${backupProgram} ]; then ${backupProgram} make; fi`,
      timeoutS: 600,
    },
    facts,
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
    facts,
  );
}
