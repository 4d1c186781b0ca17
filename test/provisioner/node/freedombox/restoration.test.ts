// What puts a FreedomBox's backup back: in which order, and onto whom never. What it does on a node is
// tried in `npm run test:freedombox`.

import test from 'ava';

import { freedomboxRestorable, freedomboxRestoration } from '../../../../provisioner/node/freedombox/restoration.ts';
import { putBack, type PutBack } from '../../../../provisioner/restore/put-back.ts';
import { readKitJson } from '../../../../provisioner/restore/kit-json.ts';
import { generationName, members, sealed } from '../../../helpers/backup.ts';
import { desired } from './toy-node.ts';

const { ownerPassphrase: _, ...home } = desired;
const restoration = freedomboxRestoration(home);
const { command, failures, timeoutS } = restoration.putBack(generationName);

test('its own setup ends first, and plinth stands still while its database lies', (t) => {
  const order = [
    /^release\nsystemctl start plinth\.service\nready\nif/m,
    /^printf '\[Unit\]\\nConditionPathExists=\S+ >/m,
    new RegExp(`^/usr/local/sbin/commons-backup restore ${generationName}$`, 'm'),
    /^ +db\.execute\("INSERT INTO main\.plinth_module/m,
    /^PYTHON\nrelease\nsystemctl start plinth\.service\nready$/m,
    /^systemctl is-active --quiet slapd\.service nslcd\.service plinth\.service snac2\.service$/m,
  ];
  const places = order.map((part) => command.search(part));
  t.deepEqual(places, places.toSorted((one, other) => one - other));
  t.true(places[0] > 0);
  t.true(timeoutS > 1800, 'a first setup takes half an hour on a slow node');
});

test('each way in which it can fail has a name and advice', (t) => {
  const told = [...command.matchAll(/(?:exit |sys\.exit\()(\d+)/g)].map(([, code]) => code);
  t.deepEqual([...new Set(told)].sort(), Object.keys(failures!).sort());
  for (const { code, expected, hint } of Object.values(failures!)) t.truthy(code && expected && hint);
});

test('whoever has an account lives there: in the web interface or in the directory', (t) => {
  t.deepEqual(restoration.accounts.parse('', 0), []);
  t.deepEqual(restoration.accounts.parse('alice\nbob\nalice', 0), ['alice', 'bob']);
  const backup = readKitJson(Buffer.from(sealed(members({ kind: 'freedombox' }))), 'kit.json');
  const wanted: PutBack = { ...{ kit: 'alice', name: generationName, backup, files: [] }, restoration };
  const facts = { files: {}, stamps: {}, accounts: [] as string[] };
  t.true(putBack.plan(wanted, facts).length > 0);
  t.throws(() => putBack.plan(wanted, { ...facts, accounts: ['bob'] }), { message: /Somebody lives/ });
});

test('its backups bring the host key, the codes, and the campaign’s certificate', (t) => {
  t.deepEqual(freedomboxRestorable.patterns, [
    ...['/etc/ssh/ssh_host_ed25519_key', '/var/lib/commons-kit/recovery/codes'],
    ...freedomboxRestorable.certificate!,
  ]);
});
