// What an owner is given: nothing secret in the plan's words, and each part due only while it is
// not there. That it works is shown on a real system: `npm run test:node`.

import test from 'ava';

import { grant, type Grant, type GrantFacts } from '../../../../provisioner/handover/access/grant.ts';
import { readTexts } from '../../../../provisioner/handover/texts.ts';
import { stamps } from '../../../../provisioner/node/operation/effect.ts';
import { debiansReading } from '../../../../provisioner/node/part/sshd.ts';
import { printPlan } from '../../../../provisioner/node/plan.ts';
import { snacPassphraseHook } from '../../../../provisioner/node/snac/passphrase.ts';
import { digestOf, type Step } from '../../../../provisioner/node/step.ts';

const secrets = {
  passphrase: 'lusab-babad-gutih-tugad-kuvup',
  recoveryCodes: ['lusab-babad-gutih-7', 'babad-gutih-lusab-3'],
};
const desired: Grant = {
  owner: 'alice',
  secrets,
  texts: (await readTexts('en')).recover,
  hooks: [snacPassphraseHook('/usr/local/lib/commons-kit/passphrase.d')],
  reading: debiansReading,
};
/** As sshd -T tells it, of Debian's configuration and of what hand-over adds to it. */
const debians = ['passwordauthentication no', 'permitemptypasswords no', 'forcecommand none'];
const [asOwner, asRecover] = [
  ['passwordauthentication yes', 'permitemptypasswords no', 'forcecommand none'],
  [
    ...['passwordauthentication yes', 'permitemptypasswords yes', 'permittty yes'],
    ...['disableforwarding yes', 'allowgroups recover'],
    'forcecommand /usr/local/lib/commons-kit/recover',
  ],
];
const fresh: GrantFacts = {
  ...{ files: {}, stamps: {}, units: {}, users: [], codesKept: false },
  ...{ asOwner: debians, asRecover: debians },
};

/** The facts after a plan, as a node that kept it would tell them. */
function after(steps: Step[]): GrantFacts {
  const files = steps.flatMap((step) => step.files ?? []);
  const stamped = steps.flatMap(({ command = '' }) =>
    [...command.matchAll(/printf '%s\\n' (\S+).* >\S+\/\.new\nmv -f \S+ \S+\/(\S+)$/g)].map((m) => `${m[2]}:${m[1]}`));
  return {
    files: Object.fromEntries(files.map(({ path, mode, owner, content }) => (
      [path, { digest: digestOf(content), mode, owner }]))),
    stamps: stamps.parse(stamped.join('\n'), 0),
    units: { 'commons-recovery.socket': { enabled: true, active: 'active' } },
    users: ['alice', 'recover'],
    codesKept: true,
    ...{ asOwner, asRecover },
  };
}

test('a fresh node gets all of it, and then there is nothing to do', (t) => {
  const steps = grant.plan(desired, fresh);
  t.deepEqual(steps.map(({ name }) => name), [
    'Write the recovery programs',
    'Write the recovery service',
    'Make the owner’s login, alice',
    'Make the login for recovery codes',
    'Keep the recovery codes’ hashes',
    'Wait for recovery codes',
    'Let the owner in by passphrase, from home',
    'Have the SSH server read that',
    'Back up the owner’s login with the rest',
  ]);
  t.deepEqual(grant.plan(desired, after(steps)), []);
});

test('the plan, as it is shown, tells no secret', (t) => {
  const shown = printPlan({ kit: 'alice', kind: 'grant', steps: grant.plan(desired, fresh) });
  for (const secret of [secrets.passphrase, ...secrets.recoveryCodes]) t.false(shown.includes(secret));
});

test('what an owner has changed since is not changed back', (t) => {
  const kept = after(grant.plan(desired, fresh));
  const other = { recoveryCodes: secrets.recoveryCodes.slice(1), passphrase: 'other' };
  const spent = { ...desired, secrets: other };
  t.deepEqual(grant.plan(spent, kept), []);
});

test('after a restore nobody but the owner knows them: nothing is given, and nothing made up', (t) => {
  const restored = { ...desired, secrets: undefined };
  const kept = after(grant.plan(desired, fresh));
  t.deepEqual(grant.plan(restored, kept), []);
  const back = { ...fresh, users: ['alice'], codesKept: true, stamps: { 'login-alice': 'once', 'recovery-codes': 'once' } };
  const steps = grant.plan(restored, back);
  t.true(steps.length > 5);
  t.false(steps.some(({ input }) => input !== undefined));
  for (const lost of [{ users: [] }, { codesKept: false }, { stamps: {} }]) {
    const error = t.throws(() => grant.plan(restored, { ...back, ...lost }));
    t.like(error, { code: 'owner-secrets-unknown' });
  }
});

const faults: [what: string, changes: Partial<GrantFacts>, steps: RegExp][] = [
  ['a user that is gone', { users: ['recover'] }, /^Make the owner’s login/],
  ['codes that are gone', { codesKept: false }, /^Keep the recovery codes/],
  ['a server that does not let the owner in', { asOwner: debians }, /^Have the SSH server read/],
  ['a server that lets nobody in by codes', { asRecover: debians }, /^Have the SSH server read/],
  ['a server that knows groups for recover that it is in none of',
    { asRecover: asRecover.map((line) => line.replace('allowgroups recover', 'allowgroups admins')) },
    /^Have the SSH server read/],
  ['a socket that does not listen',
    { units: { 'commons-recovery.socket': { enabled: true, active: 'failed' } } }, /^Wait for/],
];

for (const [what, changes, name] of faults) {
  test(`${what} is mended alone`, (t) => {
    const facts = { ...after(grant.plan(desired, fresh)), ...changes };
    const steps = grant.plan(desired, facts);
    t.is(steps.length, 1);
    t.regex(steps[0].name, name);
  });
}

test('passphrases open from home alone, and codes open nothing but their program', (t) => {
  const config = grant.plan(desired, fresh).flatMap(({ files = [] }) => files)
    .find(({ path }) => path.includes('sshd_config.d'))!.content as string;
  const blocks = config.split(/^Match /m).slice(1);
  t.is(blocks.length, 3);
  for (const block of blocks.slice(0, 2)) t.regex(block, /Address [0-9a-f./,:]*192\.168\.0\.0\/16/);
  t.false(/0\.0\.0\.0\/0|::\/0/.test(config));
  t.regex(blocks[1], /^User recover .*AllowGroups recover\n.*ForceCommand .*\/recover\n.*DisableForwarding yes/s);
});
