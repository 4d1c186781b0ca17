// The plan that puts a backup back: all of it or nothing, never onto somebody's home; no secret is in
// its words.

import test from 'ava';

import { KitError } from '../../../provisioner/errors.ts';
import { printPlan } from '../../../provisioner/node/plan.ts';
import type { Step } from '../../../provisioner/node/step.ts';
import { readKitJson } from '../../../provisioner/restore/kit-json.ts';
import { putBack, type PutBack, type PutBackFacts } from '../../../provisioner/restore/put-back.ts';
import { generationName, hash, members, sealed } from '../../helpers/backup.ts';

const backup = readKitJson(Buffer.from(sealed(members())), 'kit.json');
const program = { path: '/usr/local/sbin/commons-backup', mode: '0755', owner: 'root:root', content: '#!/bin/sh\n' };
const accounts = { script: 'true', parse: () => [] };
const desired: PutBack = {
  ...{ kit: 'alice', name: generationName, backup },
  files: backup.identity.slice(3),
  restoration: { files: [program], accounts, putBack: (name) => ({ command: `put back ${name}`, timeoutS: 60 }) },
};
const fresh: PutBackFacts = { files: {}, stamps: {}, accounts: [] };
const plan = (facts: Partial<PutBackFacts>): Step[] => putBack.plan(desired, { ...fresh, ...facts });

/** The stamps that steps leave, in their order. */
function stamped(steps: Step[]): [name: string, value: string][] {
  const said = steps.flatMap(({ command = '' }) => [...command.matchAll(/^echo (\S+) >\S+\nmv -f \S+ \S+\/(\S+)$/gm)]);
  return said.map(([, value, name]) => [name, value]);
}

test('a new drive gets all of it: data first, marks last', (t) => {
  const steps = plan({});
  t.deepEqual(steps.map(({ name }) => name), [
    'Write what putting it back needs',
    'Begin to put the backup back',
    `Take in the backup ${generationName}`,
    'Put back what its archives hold',
    'Put back the files that make it this home',
    'Put back the passphrases of alice, root',
    'Note that all of it is back',
  ]);
  t.deepEqual(stamped(steps), [
    ['restoring', backup.seal],
    ['owner-alice', 'once'], ['login-alice', 'once'], ['recovery-codes', 'once'],
    ['restored', backup.seal],
  ]);
});

test('cut off anywhere, all of it is done again; afterwards nothing is', (t) => {
  const begun = { stamps: { restoring: backup.seal }, accounts: ['alice'] };
  t.is(plan(begun).length, 7);
  t.deepEqual(plan({ stamps: { restored: backup.seal }, accounts: ['alice'] }), []);
});

const homes: [about: string, facts: Partial<PutBackFacts>][] = [
  ['accounts', { accounts: ['alice'] }],
  ['accounts, in the midst of another backup', { accounts: ['alice'], stamps: { restoring: 'f'.repeat(64) } }],
  ['another backup', { stamps: { restored: 'f'.repeat(64) } }],
];

for (const [about, facts] of homes) {
  test(`a node with ${about} is somebody’s home`, (t) => {
    const error = t.throws(() => plan(facts), { instanceOf: KitError });
    t.is(error.code, 'node-inhabited');
    t.truthy(error.expected && error.got && error.hint);
  });
}

test('without logins no passphrase is set, and nobody is made', (t) => {
  const without = { ...desired, backup: { ...backup, logins: {} } };
  t.false(putBack.plan(without, fresh).some(({ command = '' }) => /chpasswd|useradd/.test(command)));
  const root = { ...desired, backup: { ...backup, logins: { root: hash } } };
  t.false(putBack.plan(root, fresh).some(({ command = '' }) => command.includes('useradd')));
});

test('the plan, as it is shown, tells no hash and no file of the identity', (t) => {
  const shown = printPlan({ kit: 'alice', kind: 'restore', steps: plan({}) });
  for (const secret of [hash, '$6$salt', Buffer.from('$6$salt').toString('base64').slice(0, 8)]) {
    t.false(shown.includes(secret), secret);
  }
});
