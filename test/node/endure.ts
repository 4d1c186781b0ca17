// A node goes through its hardships (hardships.ts): each is inflicted, told by `kit configure` with
// its own code, relieved, and the next run completes the node; the run after has nothing to do. Needs root.
//
//   npm run test:hardships [-- --tree FILE.root.tar]
//
// Prints a line a step, and `N passed, N failed` at the end.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { atWorkbench } from '../../provisioner/bench/workbench.ts';
import { attachNodeDrive } from '../helpers/node-drive.ts';
import { makeNode, routerAddress, type NspawnNode } from '../helpers/nspawn-node.ts';
import { createSteps } from '../helpers/steps.ts';
import { hardships, type Hardship } from './hardships.ts';
import { openInternet } from './internet.ts';
import { startKit, type Ran } from './kit-command.ts';

const campaignText = (address: string): string => `name = "Riverside"
ledger = "http://ledger.test"
ledger_origin = "ledger.test/commons"
image = "snac"
arch = "amd64"
timezone = "Europe/Vienna"

[[kit]]
name = "bob"
domain = "bob.test"
owner = "bob"
address = "${address}"
`;
const certificates = '\n[certificates]\nacme = "https://acme.test/dir"\n';

/** A program that an early step of the plan runs waits until it is let go on: files to write follow. */
const shutGate = `mkdir -p /run/gate
rm -f /run/gate/*
cp /usr/sbin/update-ca-certificates /run/gate/real
cat >/run/gate/program <<'PROGRAM'
#!/bin/sh
: >/run/gate/reached
until [ -e /run/gate/open ]; do sleep 0.1; done
exec sh /run/gate/real "$@"
PROGRAM
chmod 755 /run/gate/program
mount --bind /run/gate/program /usr/sbin/update-ca-certificates`;
const openGate = `umount -l /usr/sbin/update-ca-certificates
: >/run/gate/open`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { tree: { type: 'string', default: 'trial/images/snac-amd64.root.tar' } },
});
const { step, end } = createSteps();
if (process.getuid?.() !== 0) refuse('not-root', 'this test boots a machine; run it as root.');
if (!existsSync(values.tree)) {
  refuse('no-tree', `there is no ${values.tree}: \`npm start -- --once\` leaves one, or name another.`);
}
if (positionals[0] !== 'inside') {
  // Other tests' nodes have the same addresses; and whoever makes a mount namespace while its drive
  // is mounted would keep the drive in use.
  const words = ['--net', '--mount', '--propagation', 'private', process.execPath, fileURLToPath(import.meta.url)];
  const { status } = spawnSync('unshare', [...words, 'inside', '--tree', values.tree], { stdio: 'inherit' });
  process.exit(status ?? 1);
}
execFileSync('ip', ['link', 'set', 'lo', 'up']);
const dir = mkdtempSync(join(tmpdir(), 'kit-hard-'));
try {
  await endure(dir, values.tree);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
end();

/** @param tree NAME-ARCH.root.tar */
async function endure(dir: string, tree: string): Promise<void> {
  const bench = { campaign: join(dir, 'hard.toml'), identity: join(dir, 'volunteer.key') };
  const at = join(dir, 'hard');
  mkdirSync(join(at, 'node/tree'), { recursive: true });
  writeFileSync(bench.campaign, campaignText('10.77.0.2'));
  const secrets = await atWorkbench({ ...bench, kits: ['bob'] }, async (opened, [kit]) => ({
    campaign: await opened.secrets.campaign(),
    kit: await opened.secrets.kit(kit),
  }));
  const drive = await attachNodeDrive(at, join(at, 'node/tree'), { sizeBytes: 1.2e9, inodes: 30_000 });
  const node = makeNode(join(at, 'node'), tree, {
    hostname: 'bob',
    hostKeyPem: secrets.kit.sshHostKey.privatePem,
    benchLine: secrets.campaign.benchLogin.publicLine,
  });
  const internet = await openInternet(at, routerAddress);
  const said: string[] = [];
  const configure = async (): Promise<Ran> => {
    const ran = await startKit(bench, ['configure', 'bob', '--wait', '5']).ran;
    said.push(ran.out, ran.told);
    return ran;
  };
  try {
    await step('boots from a drive of its own', async () => {
      await node.boot();
      node.run(internet.script);
      await internet.names(routerAddress);
    });
    let fresh = true;
    for (const hardship of hardships({ node, drive, internet, address: routerAddress })) {
      await step(`endures that ${hardship.about}`, async () => {
        if (!fresh) halfConfigure(node, hardship.when === 'internet');
        if (hardship.when === 'internet') {
          writeFileSync(bench.campaign, campaignText('10.77.0.2').replace('\n[[kit]]', `${certificates}\n[[kit]]`));
        }
        await told(hardship);
        // The next finds the node as its image has it, too: the first that begins on it completes it.
        if (hardship.when === 'before') return;
        await completes();
        fresh = false;
      });
    }
    await step('no secret was told while it did', async () => {
      const known = [
        ...[secrets.kit.ownerPassphrase, secrets.kit.tls.keyPem, secrets.kit.sshHostKey.privatePem],
        secrets.campaign.benchLogin.privatePem,
      ].map((secret) => secret.split('\n')[secret.includes('\n') ? 1 : 0]);
      const texts = [...said, readFileSync(join(dir, 'bench.db'), 'latin1')];
      if (known.some((secret) => texts.some((text) => text.includes(secret)))) throw new Error('it was');
    });
  } finally {
    await node.cut();
    await internet.end();
    await drive.detach();
    await node.remove();
    rmSync(at, { recursive: true, force: true });
  }

  /** By its code, to whoever reads the output and to the record; a refusal has changed nothing. */
  async function told({ code, got, when, inflict, relieve }: Hardship): Promise<void> {
    const act = async (what: Hardship['inflict']): Promise<unknown> =>
      typeof what === 'string' ? node.run(what) : what();
    if (when !== 'half-way') await act(inflict);
    else node.run(shutGate);
    const running = configure();
    if (when === 'half-way') {
      await gateReached(node, running);
      await act(inflict);
      node.run(openGate);
    }
    const { status, out } = await running;
    const error = status === 1 ? JSON.parse(out).error : undefined;
    if (error?.code !== code) throw new Error(`expected ${code}; status ${status}: ${out}`);
    if (!got.test(error.got)) throw new Error(`it says “${error.got}”`);
    if (!error.expected || !error.hint) throw new Error(`nothing expected, or no hint: ${out}`);
    await atWorkbench({ ...bench }, async ({ record }) => {
      const last = record.latest('bob', 'configure');
      if (last?.status === 'failed' && last.detail['code'] === code) return;
      throw new Error(`the record says ${JSON.stringify(last)}`);
    });
    await act(relieve);
  }

  async function completes(): Promise<void> {
    const [first, second] = [await configure(), await configure()];
    if (first.status !== 0) throw new Error(`left unfinished: ${first.out}${first.told}`);
    if (JSON.parse(first.out)[0].steps.length === 0) throw new Error('there was nothing to complete');
    const left = second.status === 0 ? JSON.parse(second.out)[0].steps : second.out;
    if (left.length > 0) throw new Error(`the second plan: ${JSON.stringify(left)}`);
  }
}

/** Effects that nobody remembers, files that are gone; and the client of the authority, if `client`. */
function halfConfigure(node: NspawnNode, client: boolean): void {
  node.run(`rm -f /var/lib/commons-kit/applied/* /etc/nftables.conf /etc/nginx/conf.d/commons-kit.conf
rm -f /usr/local/sbin/commons-backup`);
  if (client) {
    node.run(`dpkg --purge uacme >/dev/null 2>&1
rm -rf /var/lib/apt/lists/*
resolvectl flush-caches`);
  }
}

async function gateReached(node: NspawnNode, running: Promise<Ran>): Promise<void> {
  let ended: Ran | undefined;
  void running.then((ran) => (ended = ran));
  while (!node.run('[ ! -e /run/gate/reached ] || echo reached').includes('reached')) {
    if (ended !== undefined) throw new Error(`it never came half-way: ${ended.out}`);
    await sleep(100);
  }
}

function refuse(code: string, words: string): never {
  console.error(`error[${code}]: ${words}`);
  process.exit(2);
}
