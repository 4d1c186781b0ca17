// A FreedomBox whose drive has died, after a backup that its owner's node made: put back onto a tree
// of the image that has never been booted, its plug pulled on the way, and then the same home.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Kit } from '../../provisioner/campaign/campaign.ts';
import { openConnection, type NodeAddress } from '../../provisioner/node/connection.ts';
import { addressOf, configurerOf, type NodeSecrets } from '../../provisioner/node/kinds.ts';
import { openHome, restoreNode, type RestoreDeps } from '../../provisioner/restore/restore.ts';
import { plantTree, type Container } from '../helpers/container.ts';

export interface Owned {
  kit: Kit;
  /** The bench's, as they were before the kit was handed over. */
  secrets: NodeSecrets;
  /** That its owner chose, when a recovery code was used. */
  passphrase: string;
}

type Bench = Pick<RestoreDeps, 'campaign' | 'record'> & { secrets: RestoreDeps['secrets'] };

const post = 'of-the-last-day';
/** As an application's that the owner has added, and that a new drive does not have. */
const added = 'of-the-owners';

const database = (words: string): string => `python3 - <<'PYTHON'
import sqlite3
db = sqlite3.connect("/var/lib/plinth/plinth.sqlite3", timeout=20)
with db:
    for row in db.execute("""${words}"""):
        print(row)
PYTHON
`;

/** What makes it that home, whatever serves it. */
export const seen = (owner: string): string => `slapcat | grep -v '^contextCSN'
${database(`SELECT username, password FROM auth_user ORDER BY username`)}
cat /var/lib/snac2/user/${owner}/key.json /var/lib/snac2/user/${owner}/user.json
cat /var/lib/commons-kit/recovery/codes /etc/commons-kit/tls.crt
grep -rlF ${post} /var/lib/snac2/object | sort
cat /home/${owner}/letter
stat -c '%n %a %U:%G' /home/${owner} /home/${owner}/letter /var/lib/plinth /var/lib/plinth/* \\
  /var/lib/ldap/data.mdb /etc/ldap/slapd.d /var/lib/snac2 /var/lib/snac2/user/${owner} |
  grep -v '/plinth/log'`;

/** What its owner does, before it is backed up. */
export const lastDay = (owner: string): string =>
  `runuser -u debian-snac -- snac note /var/lib/snac2 ${owner} ${post} >/dev/null
mkdir -p /home/${owner}
echo kept >/home/${owner}/letter
chown -R ${owner}: /home/${owner}`;

/** @returns what it was */
export function backUp(machine: Container, { kit: { owner } }: Owned, stick: string, tree: string): string {
  machine.run(`${lastDay(owner)}
${database(`INSERT INTO plinth_module VALUES ('${added}', 1) RETURNING name`)}
commons-backup make`);
  mkdirSync(stick);
  cpSync(join(tree, 'var/backups/commons-kit'), join(stick, 'commons-kit'), { recursive: true });
  return machine.run(seen(owner));
}

interface Restoring {
  tree: string;
  /** Boots what stands there. */
  start: () => Container;
  stick: string;
  bench: Bench;
  /** What it was before. */
  home: string;
}

/** Leaves it running, shut to the bench. */
export async function restoreOnNewDrive(
  owned: Owned,
  { tree, start, stick, bench, home }: Restoring,
): Promise<void> {
  const { kit, secrets, passphrase } = owned;
  await plantTree('freedombox', { dir: tree, kit, secrets });
  let machine = start();
  const restore = async (report: (text: string) => void): Promise<void> => {
    const opened = await openHome(kit, stick, bench);
    assert.ok(opened.owners && opened.kept === undefined);
    await restoreNode(opened, { ...bench, now: Date.now, patienceMs: 300_000, report });
  };
  let told = '';
  const running = restore((text) => (told = text)).then(() => 'done', ({ code }) => code as string);
  const stops = running.then((code) => assert.fail(`it ended before it was cut off: ${code}`));
  // In the midst of its first setup, and then of what is put back; the bench itself goes on.
  for (const [about, begun] of [['its first setup', 'true'], ['the archives', unpacking]]) {
    told = '';
    while (!told.endsWith('Put back what its archives hold') || machine.run(`! ${begun} || echo yes`) === '') {
      await Promise.race([sleep(100), stops]);
    }
    await machine.kill();
    console.log(`restored: cut off within ${about}`);
    if (begun !== unpacking) machine = start();
  }
  stops.catch(() => undefined);
  const mend = makeOlder(tree);
  machine = start();
  assert.equal(await running, 'backup-freedombox-newer');
  mend();
  const startMs = performance.now();
  await restore((text) => console.log(text));
  console.log(`restored in ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
  await restore(() => undefined);
  assert.equal(machine.run(seen(kit.owner)), home);
  assert.equal(machine.run(database(`SELECT name FROM plinth_module WHERE name = '${added}'`)), '');
  machine.run('! ls -d /home.before* /var/lib/*.before* /var/lib/commons-kit/freedombox-* 2>/dev/null');
  machine.run('commons-backup prove');

  const address = addressOf(kit, secrets);
  const opens = (of: NodeAddress): Promise<string> =>
    openConnection(of).then((open) => (open.close(), 'opens'), ({ code }) => code as string);
  assert.equal(await opens(address), 'login-refused');
  assert.equal(await opens({ ...address, account: { user: kit.owner, passphrase } }), 'opens');
  // The bench is let in once more, by hand, to see that nothing is left to do.
  const key = '/root/.ssh/authorized_keys';
  machine.run(`echo '${secrets.campaign.benchLogin.publicLine}' >>${key}`);
  // Its SSH server turns away for a while whoever was refused before.
  const again = { kit: kit.name, address, patienceMs: 300_000 };
  const { plan } = await configurerOf(kit, bench.campaign, secrets)(again);
  assert.deepEqual(plan.steps.map(({ name }) => name), []);
  machine.run(`rm ${key}`);
}

/** As if the drive's FreedomBox were older than the backup's, by one step of its database's. */
function makeOlder(tree: string): () => void {
  const asNew = new DatabaseSync(join(tree, 'var/lib/commons-kit/freedombox-as-new'));
  const [step] = asNew.prepare('SELECT * FROM django_migrations ORDER BY id DESC LIMIT 1').all();
  asNew.prepare('DELETE FROM django_migrations WHERE id = ?').run(step.id);
  return () => {
    const { id, app, name, applied } = step;
    asNew.prepare('INSERT INTO django_migrations (id, app, name, applied) VALUES (?, ?, ?, ?)')
      .run(id, app, name, applied);
    asNew.close();
  };
}

/** The archives' files come to a folder beside them, before anything is moved into its place. */
const unpacking = '[ -e /var/backups/commons-kit/.restoring/home ]';
