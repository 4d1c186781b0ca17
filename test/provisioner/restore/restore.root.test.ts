// A kit that was not handed over: backed up on one node, brought back on a fresh one, over a wire that
// breaks anywhere. Nodes are overlays of this machine with its own sshd, tar and zstd.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';

import test, { type ExecutionContext } from 'ava';

import { KitError } from '../../../provisioner/errors.ts';
import { configureKits } from '../../../provisioner/node/configure-kits.ts';
import { tcp } from '../../../provisioner/node/connection.ts';
import { openHome, restoreNode } from '../../../provisioner/restore/restore.ts';
import { createOutput } from '../../../provisioner/terminal.ts';
import { campaignText, makeBench, seededRandom } from '../../helpers/bench.ts';
import { plainWire, startOverlayNode, type OverlayNode } from '../../helpers/overlay-node.ts';

const seed = process.env['KIT_SEED'] ?? String(Date.now() % 1_000_000);

async function scene(t: ExecutionContext) {
  const bench = await makeBench(campaignText.replace('"tiny"', '"snac"'));
  const dir = mkdtempSync(join(tmpdir(), 'restore-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  t.teardown(bench.remove);
  const [kit] = bench.campaign.kits;
  const { sshHostKey } = await bench.secrets.kit(kit);
  const { benchLogin } = await bench.secrets.campaign();
  const start = async (name: string): Promise<OverlayNode> => {
    const hostKeyPem = sshHostKey.privatePem;
    const options = { dir: join(dir, name), hostname: 'fresh', hostKeyPem, benchLine: benchLogin.publicLine };
    const node = await startOverlayNode(options);
    t.teardown(() => node.end());
    return node;
  };
  const silent = new Writable({ write: (_bytes, _encoding, done) => done() });
  const output = createOutput({}, { out: silent, err: silent });
  const deps = (node: OverlayNode) => ({ ...bench, connect: () => tcp('127.0.0.1', node.port) });
  const configure = async (node: OverlayNode): Promise<string[]> => {
    const [{ outcome, error }] = await configureKits([kit], deps(node), output);
    if (error !== undefined) throw error;
    return outcome!.plan.steps.map((step) => step.name);
  };
  const stick = join(dir, 'stick');
  const restore = async (node: OverlayNode): Promise<string> => {
    const home = await openHome(kit, stick, bench);
    return restoreNode(home, { ...deps(node), now: Date.now, report: () => undefined }).then(
      () => 'restored',
      (error: unknown) => {
        if (error instanceof KitError) return error.code;
        throw error;
      },
    );
  };
  return { start, configure, restore, stick };
}

/** The last backup of a node that lives, on a stick. */
async function backUp(node: OverlayNode, stick: string): Promise<void> {
  await node.run('commons-backup make');
  const tar = await node.run('tar -c -C /var/backups/commons-kit . | base64 -w 0');
  mkdirSync(join(stick, 'commons-kit'), { recursive: true });
  execFileSync('tar', ['-x', '-C', join(stick, 'commons-kit')], { input: Buffer.from(tar, 'base64') });
}

/** Everything that snac keeps, and who may read it. */
const dataOf = (node: OverlayNode): Promise<string> =>
  node.run(`cd /var/lib/snac2
find . -type f | sort | xargs sha256sum
find . | sort | xargs stat -c '%n %a %U:%G'`);

test('comes back on a fresh node, whatever the wire does, and is the same home', async (t) => {
  t.timeout(300_000);
  t.log(`seed ${seed}`);
  const { start, configure, restore, stick } = await scene(t);
  const old = await start('old');
  await configure(old);
  await old.run(`cd /var/lib/snac2/user/alice
mkdir public followers
head -c 300000 /dev/urandom >public/picture
echo a-follower >followers/one.json
chown -R debian-snac:debian-snac .
mkdir -p /var/lib/iwd
echo a-key >'/var/lib/iwd/Home Net.psk'
: >/var/lib/commons-kit/acme-obtained`);
  await backUp(old, stick);
  const data = await dataOf(old);
  t.is(await restore(old), 'node-inhabited');
  t.is(await dataOf(old), data);

  const fresh = await start('fresh');
  const bytes = seededRandom(seed);
  const below = (limit: number) => Buffer.from(bytes(4)).readUInt32LE() % limit;
  const codes: string[] = [];
  for (let cut = 0; cut < 12; cut++) {
    let left = 3000 + below(cut % 2 === 0 ? 20_000 : 420_000);
    fresh.wire = (bench, sshd) => {
      plainWire(bench, sshd);
      bench.on('data', (piece) => {
        left -= piece.length;
        if (left < 0) bench.destroy();
      });
    };
    codes.push(await restore(fresh));
  }
  fresh.wire = plainWire;
  codes.push(await restore(fresh));
  t.log(codes.join(' '));
  t.is(codes.at(-1), 'restored');
  // The first is always cut; the more has come over, the less is left to be cut.
  t.not(codes[0], 'restored');
  t.is(await dataOf(fresh), data);
  t.deepEqual(await configure(fresh), []);
  const digest = (path: string) => `sha256sum <${path}`;
  const more = ["'/var/lib/iwd/Home Net.psk'", '/var/lib/commons-kit/acme-obtained'];
  for (const path of ['/etc/commons-kit/tls.crt', '/etc/commons-kit/tls.key', ...more]) {
    t.is(await fresh.run(digest(path)), await old.run(digest(path)), path);
  }
  t.regex(await fresh.run('commons-backup list'), /proven: yes/);

  // What its owner does from now on, nothing takes back.
  await fresh.run('echo later >/var/lib/snac2/user/alice/later');
  t.is(await restore(fresh), 'restored');
  t.is(await fresh.run('cat /var/lib/snac2/user/alice/later'), 'later\n');
  await backUp(fresh, stick);
  t.is(await restore(fresh), 'node-inhabited');
});

test('a drive without room is refused before anything is sent', async (t) => {
  const { start, configure, restore, stick } = await scene(t);
  const old = await start('old');
  await configure(old);
  await backUp(old, stick);
  const fresh = await start('fresh');
  await fresh.run('fallocate -l 150M /var/lib/filled');
  t.is(await restore(fresh), 'restore-no-room');
  t.is(await fresh.run('ls -A /var/backups/commons-kit'), '');
  await fresh.run('rm /var/lib/filled');
  t.is(await restore(fresh), 'restored');
});
