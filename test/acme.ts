// A snac node obtains and renews its certificate from a real ACME server: Debian's pebble, which
// validates by http-01 over the wire, with its own DNS. The node is the snac image's tree, booted as
// a container; it installs its client from Debian's mirror, through a proxy here. As root:
//
//   npm run test:acme
//
// Prints a line a step, and `N passed, N failed` at the end.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type PeerCertificate } from 'node:tls';

import { KitError } from '../provisioner/errors.ts';
import { configureKits } from '../provisioner/node/configure-kits.ts';
import { openConnection } from '../provisioner/node/connection.ts';
import { addressOf } from '../provisioner/node/kinds.ts';
import { shellOver, type Shell } from '../provisioner/node/shell.ts';
import { createOutput } from '../provisioner/terminal.ts';
import { makeBench } from './helpers/bench.ts';
import { makeNode, snacRootTar } from './helpers/nspawn-node.ts';
import { createSteps } from './helpers/steps.ts';

if (process.getuid?.() !== 0) {
  console.error('error[not-root]: this test boots a machine; run it as root.');
  process.exit(2);
}

const [ours, its] = ['10.77.0.1', '10.77.0.2'];
const proxyPort = 3142;
/** Below the month that uacme renews at, above the three weeks that content the owner's page. */
const certificateDays = 25;
const dir = mkdtempSync(join(tmpdir(), 'kit-acme-'));
const bench = await makeBench(`name = "Riverside"
ledger = "http://ledger.test"
ledger_origin = "ledger.test/commons"
image = "snac"
arch = "amd64"
timezone = "Europe/Vienna"
ca_domains = ["acme.test"]

[certificates]
acme = "https://acme.test:14000/dir"
contact = "certificates@alice.test"

[[kit]]
name = "alice"
domain = "alice.test"
owner = "alice"
address = "${its}"
`);
bench.clock.nowMs = Date.now();
const [kit] = bench.campaign.kits;
const secrets = { campaign: await bench.secrets.campaign(), kit: await bench.secrets.kit(kit) };
mkdirSync(join(dir, 'node'));
const node = makeNode(join(dir, 'node'), snacRootTar(console.log), {
  hostname: 'alice',
  hostKeyPem: secrets.kit.sshHostKey.privatePem,
  benchLine: secrets.campaign.benchLogin.publicLine,
});
const children: ChildProcess[] = [];
let proxy: Server | undefined;
const { step, end } = createSteps();
try {
  await serveAuthority();
  await step('boots, looking names up here', bootNode);
  await step('without a mirror says so, all else done', withoutMirror);
  await step('is configured, and serves the campaign’s certificate meanwhile', configured);
  await step('tells its owner that no authority could reach it', unreached);
  await step('obtains a certificate, and serves it', obtained);
  await step('renews it', renewed);
  await step('keeps what it has when the authority is gone', authorityGone);
  await step('is configured again without a change', async () => {
    const steps = await configure();
    if (steps.length > 0) throw new Error(steps.join('; '));
  });
} finally {
  for (const child of children) child.kill('SIGKILL');
  proxy?.close();
  await node.remove();
  bench.remove();
  rmSync(dir, { recursive: true, force: true });
}
end();

/** pebble's directory is served with a certificate of the campaign's authority: the node trusts it. */
async function serveAuthority(): Promise<void> {
  const tls = await bench.secrets.issueCertificate('acme.test');
  const at = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
  const config = at('pebble.json', JSON.stringify({
    pebble: {
      ...{ listenAddress: `${ours}:14000`, managementListenAddress: `${ours}:15000` },
      certificate: at('acme.crt', tls.certificatePem),
      privateKey: at('acme.key', tls.keyPem),
      ...{ httpPort: 80, tlsPort: 443, ocspResponderURL: '' },
      certificateValidityPeriod: certificateDays * 86_400,
    },
  }));
  start('pebble-challtestsrv', [
    ...['-dns01', `${ours}:53`, '-http01', '', '-https01', '', '-tlsalpn01', ''],
    ...['-defaultIPv4', its, '-defaultIPv6', '', '-management', `${ours}:8055`],
  ]);
  start('pebble', ['-config', config, '-dnsserver', `${ours}:53`]);
  await leadTo('acme.test', ours);
}

function start(program: string, words: string[]): void {
  const env = { ...process.env, PEBBLE_VA_NOSLEEP: '1' };
  const child = spawn(program, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (bytes: Buffer) => (said = (said + bytes).slice(-4000)));
  }
  child.on('exit', (code) => code !== null && console.log(`${program} ended, ${code}: ${said}`));
  children.push(child);
}

/** What the authority's DNS says of a name. */
async function leadTo(name: string, address: string): Promise<void> {
  const body = JSON.stringify({ host: `${name}.`, addresses: [address] });
  for (let tries = 0; ; tries++) {
    try {
      await fetch(`http://${ours}:8055/clear-a`, { method: 'POST', body });
      await fetch(`http://${ours}:8055/add-a`, { method: 'POST', body });
      return;
    } catch (error) {
      if (tries === 50) throw error;
      await sleep(200);
    }
  }
}

async function bootNode(): Promise<void> {
  const put = (path: string, text: string): void => {
    mkdirSync(join(node.tree, path, '..'), { recursive: true });
    writeFileSync(join(node.tree, path), text);
  };
  put('etc/systemd/resolved.conf.d/test.conf', `[Resolve]\nDNS=${ours}\nDNSSEC=no\n`);
  put('etc/apt/apt.conf.d/99-proxy', `Acquire::http::Proxy "http://${ours}:${proxyPort}";\n`);
  await node.boot();
}

/** Names of the steps that were done. @throws KitError */
async function configure(): Promise<string[]> {
  const output = createOutput({ json: true });
  const [{ error, outcome }] = await configureKits([kit], bench, output, { patienceMs: 30_000 });
  if (error !== undefined) throw error;
  return outcome!.plan.steps.map(({ name }) => name);
}

async function withoutMirror(): Promise<void> {
  const error = await configure().then(() => undefined, (thrown: unknown) => thrown);
  if (!(error instanceof KitError) || error.code !== 'mirror-unreachable') throw error;
}

async function configured(): Promise<void> {
  proxy = await serveProxy();
  const steps = await configure();
  expect(steps.slice(0, 2), ['Install uacme', 'Write what obtains certificates']);
  expect((await servedCertificate()).issuer.CN, 'commons-kit campaign authority');
  if (!(await page()).includes('No public authority has given one yet')) throw new Error(await page());
}

/** What apt asks for, passed on: http alone, whole answers. */
async function serveProxy(): Promise<Server> {
  const server = createServer((asked, answer) => {
    const on = request(asked.url!, { method: asked.method, headers: asked.headers }, (from) => {
      answer.writeHead(from.statusCode!, from.headers);
      from.pipe(answer);
    });
    on.on('error', () => answer.destroy());
    asked.pipe(on);
  });
  server.listen(proxyPort, ours);
  await once(server, 'listening');
  return server;
}

async function unreached(): Promise<void> {
  await leadTo('alice.test', ours);
  await onNode(async (run) => void (await run('! systemctl start commons-certificate.service')));
  const told = await page();
  if (!/No public authority has given one yet: no certificate: .+/.test(told)) throw new Error(told);
  expect((await servedCertificate()).issuer.CN, 'commons-kit campaign authority');
}

async function obtained(): Promise<void> {
  await leadTo('alice.test', its);
  await onNode((run) => run('systemctl start commons-certificate.service'));
  const shown = await servedUntil(({ issuer }) => /^Pebble Intermediate/.test(String(issuer.CN)));
  expect(shown.subjectaltname, 'DNS:alice.test');
  if (!(await page()).includes('<h2>Certificate</h2><p>Good for 24 days.')) throw new Error(await page());
  const mode = await onNode((run) => run('stat -c "%a %U" /var/lib/commons-kit/served.pem'));
  expect(mode.trim(), '600 root');
}

async function renewed(): Promise<void> {
  const before = await servedCertificate();
  await onNode((run) => run('systemctl start commons-certificate.service'));
  const isNew = ({ serialNumber }: PeerCertificate) => serialNumber !== before.serialNumber;
  const after = await servedUntil(isNew);
  expect(after.issuer.O, before.issuer.O);
}

async function authorityGone(): Promise<void> {
  const before = await servedCertificate();
  children.at(-1)!.kill('SIGKILL');
  await onNode(async (run) => void (await run('! systemctl start commons-certificate.service')));
  expect((await servedCertificate()).serialNumber, before.serialNumber);
  const account = JSON.parse(readFileSync(join(node.tree, 'var/lib/commons-kit/certificate.json'), 'utf8'));
  if (account.error === null || account.obtained_at === null) throw new Error(JSON.stringify(account));
}

/** The owner's. */
async function page(): Promise<string> {
  return onNode((run) => run('/usr/local/lib/commons-kit/status'));
}

async function onNode<T>(work: (run: Shell) => Promise<T>): Promise<T> {
  const connection = await openConnection(addressOf(kit, secrets));
  try {
    return await work(shellOver(connection));
  } finally {
    connection.close();
  }
}

/** Whoever certified it: this looks, and does not judge. */
async function servedCertificate(): Promise<PeerCertificate> {
  const socket = connect({ host: its, port: 443, servername: kit.domain, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const certificate = socket.getPeerCertificate();
  socket.destroy();
  return certificate;
}

/** nginx takes its time over a reload: its old workers answer until the new ones are up. */
async function servedUntil(holds: (shown: PeerCertificate) => boolean): Promise<PeerCertificate> {
  for (let tries = 0; ; tries++) {
    const shown = await servedCertificate();
    if (holds(shown)) return shown;
    if (tries === 60) throw new Error(`still ${shown.serialNumber} by ${shown.issuer.CN}`);
    await sleep(250);
  }
}

function expect(got: unknown, wanted: unknown): void {
  const [is, should] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (is !== should) throw new Error(`expected ${should}, got ${is}`);
}
