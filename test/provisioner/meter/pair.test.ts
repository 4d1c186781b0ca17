// The real firmware in its machine pairs with a bench; the ledger's own verifier judges it.
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import test, { type ExecutionContext } from 'ava';
import { decode } from 'cborg';
import { unseal } from '../../../ledger/unseal.ts';
import { verifyEnrolment } from '../../../ledger/verify/enrolment.ts';
import { findKit } from '../../../provisioner/campaign/campaign.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { buildFirmware } from '../../../provisioner/meter/build.ts';
import { pairMeter } from '../../../provisioner/meter/pair.ts';
import type { PairOptions } from '../../../provisioner/meter/pair.ts';
import { virtualPort, type MeterPort } from '../../../provisioner/meter/port.ts';
import { createVirtualMeter } from '../../../provisioner/virtual/meter.ts';
import { makeBench } from '../../helpers/bench.ts';

const ORIGIN = 'ledger.test/commons';
const folder = mkdtempSync(join(tmpdir(), 'pair-'));
const built = buildFirmware();
test.after.always(() => rm(folder, { recursive: true }));

interface Asked {
  url: string;
  body?: Uint8Array;
}

/** A ledger that answers as told and remembers what it was asked. */
async function ledger(origin = ORIGIN) {
  const ageIdentity = await generateX25519Identity();
  const recipient = await identityToRecipient(ageIdentity);
  const asked: Asked[] = [];
  const fetchFrom = (async (url: string, init?: { body?: Uint8Array }) => {
    asked.push({ url, body: init?.body });
    if (init?.body === undefined) return Response.json({ origin, age_recipient: recipient });
    const [enrolment] = decode(init.body) as [Uint8Array];
    const { meterId } = verifyEnrolment(enrolment, ORIGIN);
    const meter = Buffer.from(meterId).toString('hex');
    return Response.json({ meter, index: 7 }, { status: 201 });
  }) as unknown as typeof fetch;
  return { ageIdentity, asked, fetch: fetchFrom };
}

async function bench(t: ExecutionContext) {
  const made = await makeBench();
  t.teardown(made.remove);
  const { hash: firmwareHash } = await built;
  const random = (sizeBytes: number): Uint8Array => new Uint8Array(sizeBytes).fill(9);
  const pair = (
    port: MeterPort, fetchFrom: typeof fetch, change: Partial<PairOptions> = {},
    say: (line: string) => void = () => {},
  ) =>
    pairMeter({ ...made, campaign: made.campaign }, findKit(made.campaign, 'alice'), {
      port,
      options: { firmwareHash, intervalS: 60, keyHeight: 5, ...change },
      deps: { fetch: fetchFrom, random, say },
    });
  return { made, pair };
}

test('a meter is paired, and pairing it again sends the same enrolment', async (t) => {
  const { bytecode, hash } = await built;
  const meter = createVirtualMeter({
    ...{ bytecode, dir: join(folder, 'meter'), load: () => 2700 },
    clock: { startMs: 1_767_225_600_000, realStartMs: Date.now(), rate: Infinity },
    onPanic: (code) => t.fail(`panic ${code}`),
    onFailed: (error) => t.fail(String(error.got)),
  });
  t.teardown(meter.stop);
  const { made, pair } = await bench(t);
  const { ageIdentity, asked, fetch: fetchFrom } = await ledger();
  meter.powerOn();
  const calibration = { id: 3, nanoAmpPerStep: 249_000, offsetNanoAmp: -9, nanoVoltPerStep: 1_250_000 };
  const paired = await pair(virtualPort(meter), fetchFrom, { calibration });
  t.is(paired.entry, 7);
  t.is(paired.assurance, 'virtual');
  t.deepEqual(asked.map(({ url }) => url), [
    'http://ledger.test/v1/ledger',
    'http://ledger.test/v1/kits',
  ]);

  const [bytes, sealed] = decode(asked[1].body!) as [Uint8Array, Uint8Array];
  const enrolment = verifyEnrolment(bytes, ORIGIN);
  t.is(Buffer.from(enrolment.meterId).toString('hex'), paired.meter);
  t.deepEqual(Buffer.from(enrolment.firmwareHash), Buffer.from(hash));
  t.deepEqual(Buffer.from(enrolment.volunteerKey), Buffer.from(made.identity.publicKey));
  t.deepEqual([enrolment.publish, enrolment.intervalS], [3, 60]);
  t.deepEqual(enrolment.calibration, {
    ...{ id: 3, nano_amp_per_step: 249_000, offset_nano_amp: -9, nano_volt_per_step: 1_250_000 },
  });
  const { pairingKey } = await made.secrets.kit(findKit(made.campaign, 'alice'));
  const secrets = await unseal(sealed, enrolment.sealedHash, ageIdentity);
  t.deepEqual(secrets, { pairingKey, privateName: 'alice' });

  t.deepEqual(made.record.lastDone('alice', 'pair')?.detail, { ...paired });
  t.deepEqual(await pair(virtualPort(meter), fetchFrom, { calibration }), paired);
  t.deepEqual(asked[3].body, asked[1].body);
  await t.throwsAsync(pair(virtualPort(meter), fetchFrom), { code: 'enrolled-otherwise' });
  t.is(asked.filter(({ body }) => body !== undefined).length, 2);

  t.is(Buffer.from(enrolment.ownerKey!).toString('hex'), paired.ownerKey!);
  // As a record of before owners' keys has it: what was enrolled then names none, and is sent again.
  const { ownerKey: _, ...older } = made.record.lastDone('alice', 'enrolment')!.detail;
  made.record.done('alice', 'enrolment', older);
  const said: string[] = [];
  const again = await pair(virtualPort(meter), fetchFrom, { calibration }, (line) => said.push(line));
  t.is(again.ownerKey, null);
  t.deepEqual(asked.at(-1)!.body, asked[1].body);
  t.true(said.some((line) => line.includes('without an owner’s key')), said.join());
});

/** A meter that keeps settings and says given lines when it starts. */
function talker(...lines: string[]): MeterPort {
  const listeners: ((line: string) => void)[] = [];
  return {
    assurance: 'virtual',
    writeSetting: async () => {},
    onLine: (listen) => (listeners.push(listen), () => {}),
    restart: async () => lines.forEach((line) => listeners.forEach((listen) => listen(line))),
  };
}

test('a meter that states nothing, or another thing, is not enrolled', async (t) => {
  const { made, pair } = await bench(t);
  const { asked, fetch: fetchFrom } = await ledger();
  const silent = await t.throwsAsync(pair(talker('boot 1'), fetchFrom, { limitMs: 1 }), {
    code: 'meter-silent',
  });
  t.is((silent as { got?: string }).got, 'boot 1');
  await t.throwsAsync(pair(talker('enrol 1/2 d284', 'enrol 2/2 00'), fetchFrom), {
    code: 'statement-invalid',
  });
  t.false(asked.some(({ body }) => body !== undefined));
  t.is(made.record.latest('alice', 'pair')?.status, 'failed');
});

/** What a meter says at each of its starts, one after the other; the last one again and again. */
function starter(...starts: string[][]): MeterPort & { started(): number } {
  let started = 0;
  let hear = (_: string): void => {};
  return {
    ...{ assurance: 'virtual', started: () => started },
    writeSetting: async () => {},
    onLine: (listen) => ((hear = listen), () => {}),
    async restart() {
      for (const line of starts[Math.min(started++, starts.length - 1)]!) hear(line);
    },
  };
}

test('a statement whose first lines were lost is heard at another start', async (t) => {
  const { pair } = await bench(t);
  const { fetch: fetchFrom } = await ledger();
  const whole = ['enrol 1/3 d2', 'enrol 2/3 84', 'enrol 3/3 00'];
  const port = starter(whole.slice(2), whole.slice(1), whole);
  // All of it came: it is judged, and is none.
  await t.throwsAsync(pair(port, fetchFrom), { code: 'statement-invalid' });
  t.is(port.started(), 3);
  const cut = starter(whole.slice(1));
  await t.throwsAsync(pair(cut, fetchFrom, { limitMs: 50 }), { code: 'meter-silent' });
  t.is(cut.started(), 3, 'not for ever');
});

test('another ledger than the campaign’s gets nothing', async (t) => {
  const { pair } = await bench(t);
  const { fetch: fetchFrom } = await ledger('other.test/commons');
  const port = { ...talker(), writeSetting: async () => t.fail('a setting was written') };
  await t.throwsAsync(pair(port as unknown as MeterPort, fetchFrom), { code: 'ledger-other' });
});

test('a ledger that is silent, refuses or babbles is named', async (t) => {
  const { pair } = await bench(t);
  const answers: [code: string, answer: () => Promise<Response>][] = [
    ['ledger-unreachable', () => Promise.reject(new TypeError('fetch failed'))],
    ['ledger-unintelligible', async () => new Response('<html>')],
    ['ledger-refused', async () => new Response('gone'.repeat(1e5), { status: 410 })],
    [
      'ledger-refused',
      async () => Response.json({ title: 'Not admitted', hint: 'Ask.' }, { status: 403 }),
    ],
  ];
  for (const [code, answer] of answers) {
    const pairing = pair(talker(), answer as unknown as typeof fetch);
    const error = await t.throwsAsync(pairing, { code, instanceOf: KitError });
    t.deepEqual(Object.keys(error.toJSON()), ['code', 'message', 'expected', 'got', 'hint']);
    t.true(JSON.stringify(error).length < 1000, 'a stranger’s words are cut');
    if (error.message.includes('admitted')) t.is(error.hint, 'Ask.');
  }
});
