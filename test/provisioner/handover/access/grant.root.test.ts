// The same file, among the configurations that kinds of nodes have: what Debian's own sshd then does
// with the owner and with `recover`, coming from home.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { makeSshKey } from '../../../../provisioner/campaign/ssh-key.ts';
import { grant, type Grant } from '../../../../provisioner/handover/access/grant.ts';
import { readTexts } from '../../../../provisioner/handover/texts.ts';
import { accessPath, debiansReading } from '../../../../provisioner/node/part/sshd.ts';
import { seededRandom } from '../../../helpers/bench.ts';

const desired: Grant = {
  ...{ owner: 'alice', secrets: { passphrase: 'x', recoveryCodes: [] }, hooks: [] },
  ...{ texts: (await readTexts('en')).recover, reading: debiansReading },
};
const fresh = { files: {}, stamps: {}, units: {}, users: [], codesKept: false, asOwner: [], asRecover: [] };
const access = grant.plan(desired, fresh).flatMap(({ files = [] }) => files)
  .find(({ path }) => path === accessPath)!.content as string;

const reads = 'Include DIR/sshd_config.d/*.conf\nUsePAM no';
const kinds: [kind: string, main: string, beside: Record<string, string>][] = [
  ['snac', reads, { 'commons-kit': 'PasswordAuthentication no' }],
  // plinth/modules/ssh: logins restricted to these, as its first setup does.
  ['FreedomBox', reads, {
    'commons-kit': 'PasswordAuthentication no',
    freedombox: 'AllowGroups root sudo admin freedombox-ssh',
  }],
  // conf/ssh/sshd_config, with passphrases switched off: what kit's hook has put at its top.
  ['YunoHost', `Include DIR/sshd_config.d/commons-kit-owner.conf
PermitRootLogin no
PermitEmptyPasswords no
PasswordAuthentication no
AllowGroups ssh.main sftp.main ssh.app sftp.app admins root
Match Group sftp.main,!ssh.main
    ForceCommand internal-sftp
Match Address 192.168.0.0/16,10.0.0.0/8,172.16.0.0/12,169.254.0.0/16,fe80::/10,fd00::/8
    PermitRootLogin yes`, {}],
];

/** What `sshd -T` tells of a user from somewhere, a setting a line. */
function server(t: ExecutionContext, main: string, files: Record<string, string>) {
  const dir = mkdtempSync(join(tmpdir(), 'grant-sshd-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  mkdirSync(join(dir, 'sshd_config.d'));
  mkdirSync('/run/sshd', { recursive: true });
  const key = makeSshKey('host', seededRandom('grant')).privatePem;
  writeFileSync(join(dir, 'key'), key, { mode: 0o600 });
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(dir, `sshd_config.d/${name}.conf`), `${text}\n`);
  }
  const config = join(dir, 'sshd_config');
  writeFileSync(config, `HostKey ${dir}/key\n${main.replaceAll('DIR', dir)}\n`);
  return (user: string, from: string): string[] =>
    execFileSync('/usr/sbin/sshd', ['-T', '-f', config, '-C', `user=${user},host=x,addr=${from}`], {
      encoding: 'utf8',
    }).trim().split('\n');
}

for (const [kind, main, beside] of kinds) {
  test(`${kind}: lets in the owner by passphrase and recover by code, from home alone`, (t) => {
    const amiss = (told: ReturnType<typeof server>): string | undefined => {
      const facts = { asOwner: told('alice', '192.168.7.7'), asRecover: told('recover', '192.168.7.7') };
      const steps = grant.plan(desired, { ...fresh, ...facts });
      return steps.find(({ name }) => name === 'Have the SSH server read that')?.because;
    };
    t.is(amiss(server(t, main, beside)), 'the SSH server would not do as it says');
    const told = server(t, main, { ...beside, 'commons-kit-owner': access });
    t.is(amiss(told), 'not done yet');
    const afar = told('recover', '203.0.113.7');
    for (const line of ['forcecommand none', 'permitemptypasswords no', 'passwordauthentication no']) {
      t.true(afar.includes(line), line);
    }
    t.false(told('bob', '192.168.7.7').includes('passwordauthentication yes'));
    t.deepEqual(
      told('alice', '192.168.7.7').filter((line) => line.startsWith('allowgroups')),
      server(t, main, beside)('alice', '192.168.7.7').filter((line) => line.startsWith('allowgroups')),
    );
  });
}
