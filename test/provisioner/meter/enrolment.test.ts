// An owner's key's whole way: made at the bench, named in the enrolment by pairing the real firmware,
// printed, typed off the paper into `ledger ask`, obeyed by the ledger, told by the audit.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { Clock } from '../../../ledger/clock.ts';
import type { Granted } from '../../../ledger/owner.ts';
import { serveLedger } from '../../../ledger/server.ts';
import { printLeaflet } from '../../../provisioner/handover/print.ts';
import { buildFirmware } from '../../../provisioner/meter/build.ts';
import { pairMeter } from '../../../provisioner/meter/pair.ts';
import { virtualPort } from '../../../provisioner/meter/port.ts';
import { createVirtualMeter } from '../../../provisioner/virtual/meter.ts';
import { campaignText, makeBench, seededRandom } from '../../helpers/bench.ts';
import { auditLedger, openTestLedger, temporaryDir } from '../../helpers/ledger-folder.ts';

const MAIN = fileURLToPath(new URL('../../../ledger/main.ts', import.meta.url));
const START_MS = 1_795_000_000_000;
const RATE = 100;
const BATCHES = 3;

/** `ledger ask` in a process of its own, which reads the key from its standard input. */
async function ask(typed: string, ...words: string[]): Promise<{ code: number; out: string }> {
  const child = spawn(process.execPath, [MAIN, 'ask', ...words, '--key', '-', '--json']);
  child.stdin.end(typed);
  const exit = once(child, 'exit') as Promise<[number]>;
  const [out, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  return { code, out: out + errors };
}

test('what an owner types off the leaflet, the ledger obeys', async (t) => {
  const { dir, remove } = temporaryDir();
  t.teardown(remove);
  const realStartMs = Date.now();
  const nowMs = (): number => Math.floor(START_MS + (Date.now() - realStartMs) * RATE);
  const clock: Clock = { nowMs, rate: RATE };
  const ledger = await openTestLedger(join(dir, 'ledger'), { clock, origin: 'ledger.test/commons' });
  t.teardown(ledger.close);
  const { port, close } = await serveLedger(ledger, { port: 0 });
  t.teardown(close);
  const url = `http://127.0.0.1:${port}`;
  const kits = campaignText.replaceAll('owner = "alice"', 'owner = "alice"\npublish = "batch"');
  const bench = await makeBench(kits.replace('"http://ledger.test"', `"${url}"`).replace('"tiny"', '"snac"'));
  t.teardown(bench.remove);
  const [alice] = bench.campaign.kits;
  await ledger.admit(bench.identity.publicKey);

  const { bytecode, hash: firmwareHash } = await buildFirmware();
  const meter = createVirtualMeter({
    ...{ bytecode, dir: join(dir, 'meter'), load: () => 2700 },
    clock: { startMs: START_MS, realStartMs, rate: RATE },
    onPanic: (code) => t.fail(`panic ${code}`),
    onFailed: (error) => t.fail(String(error.got)),
  });
  t.teardown(meter.stop);
  meter.powerOn();
  const options = { firmwareHash, intervalS: 30, batchS: 30, probeS: 10, patienceS: 5 };
  const deps = { fetch, random: seededRandom('pair'), say: () => {} };
  const paired = await pairMeter(bench, alice, { port: virtualPort(meter), options, deps });

  const id = new Uint8Array(Buffer.from(paired.meter, 'hex'));
  const { publish, enrolment } = ledger.state().meter(id)!;
  t.is(publish, 1, 'as campaign.toml has it');
  t.is(Buffer.from(enrolment.ownerKey!).toString('hex'), paired.ownerKey!);
  const batches = Promise.withResolvers<void>();
  const first = ledger.log().size();
  const look = (): void => {
    if (ledger.log().size() >= first + BATCHES) batches.resolve();
  };
  ledger.onAppend(look);
  look();
  await batches.promise;
  await meter.cutPower();

  const printing = { folder: dir, random: seededRandom('leaflet'), now: () => 0 };
  const { file, notices } = await printLeaflet(alice, bench, printing);
  t.deepEqual(notices, []);
  const paper = execFileSync('pdftotext', ['-layout', file, '-'], { encoding: 'utf8' });
  const [typed] = /([a-z]{5}-){8}[2-9]/.exec(paper)!;
  t.is(typed, (await bench.secrets.kit(alice)).ownerKey!);

  const day = (shift: number): string => new Date(nowMs() + shift * 86_400_000).toISOString().slice(0, 10);
  const words = [paired.meter, '--ledger', url];
  const slip = typed.replace(/.(?=-.$)/, (letter) => (letter === 'b' ? 'd' : 'b'));
  const mistyped = await ask(slip, ...words, '--publish', 'none');
  t.is(mistyped.code, 2);
  t.regex(mistyped.out, /bad-owner-key/);
  t.false(mistyped.out.includes(slip));

  const asTyped = typed.replaceAll('-', ' ').toUpperCase();
  const erased = await ask(`${asTyped}\n`, ...words, '--erase', day(-2), day(2));
  t.is(erased.code, 0, erased.out);
  const granted = JSON.parse(erased.out) as Granted;
  const received = ledger.log().size() - first - 1;
  t.is(granted.batches, received - 1, 'all but the last, which the next must continue');
  t.is((await ask(typed, ...words, '--publish', 'none')).code, 0);

  const report = await auditLedger(ledger);
  t.deepEqual(report.findings, []);
  t.is(report.blobs.erased, granted.batches);
  t.deepEqual(report.requests.map(({ what, by }) => `${what} by ${by}`), ['erase by owner', 'publish by owner']);
  for (const name of ['bench.db', 'bench.db-wal']) {
    t.false(readFileSync(join(bench.dir, name)).includes(typed), 'the record keeps the public half');
  }

  await bench.secrets.erase(alice);
  await t.throwsAsync(bench.secrets.ownerKey(alice), { code: 'kit-handed-over' });
});
