// The ledger over HTTP: tagged replies, problems, static files, bounds, slow and hostile peers.

import test from 'ava';
import { Hono } from 'hono';
import { createHmac } from 'node:crypto';
import { request } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { decodeMac0, decodeReply, encodeMacStructure } from '../../firmware/wire.ts';
import type { Reply } from '../../firmware/wire.ts';
import { askAdmin } from '../../ledger/admin.ts';
import { audit } from '../../ledger/audit/audit.ts';
import { webFiles } from '../../ledger/audit/source.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { LIMITS } from '../../ledger/limits.ts';
import type { Limits } from '../../ledger/limits.ts';
import { boundedServer, closeServer, listenOnPort, serveLedger } from '../../ledger/server.ts';
import type { OnStep } from '../../ledger/log/durable.ts';
import { openTestLedger, policyOf, temporaryDir, VOLUNTEER } from '../helpers/ledger-folder.ts';
import { createMeter, createVolunteer, digest, enrolmentBody, written } from '../helpers/meter.ts';
import type { TestMeter } from '../helpers/meter.ts';
import { priceBytes } from '../helpers/price.ts';
import { retirementBytes } from '../helpers/retirement.ts';

interface Scene {
  url: string;
  dir: string;
  ledger: Ledger;
  meter: TestMeter;
  post(batch: Uint8Array, headers?: Record<string, string>): Promise<Response>;
}

const NONCE = 'a1'.repeat(16);

async function onServer(
  run: (scene: Scene) => Promise<void>,
  options: { limits?: Partial<Limits>; onStep?: OnStep; listenUnix?: boolean } = {},
): Promise<void> {
  const { dir, remove } = temporaryDir();
  const problems: unknown[] = [];
  const onProblem = (error: unknown): void => void problems.push(error);
  const ledger = await openTestLedger(dir, { onStep: options.onStep, onProblem });
  const server = await serveLedger(ledger, {
    port: 0, limits: { ...LIMITS, ...options.limits }, onProblem,
    listenUnix: options.listenUnix ? join(dir, 'http.sock') : undefined,
  });
  const url = `http://127.0.0.1:${server.port}`;
  const meter = createMeter('alice');
  const enrol = async (): Promise<void> => {
    await ledger.admit(VOLUNTEER.publicKey);
    const { origin, ageRecipient } = ledger.store.keys;
    const body = await enrolmentBody(meter, VOLUNTEER, { origin, ageRecipient });
    const response = await fetch(`${url}/v1/kits`, { method: 'POST', body: new Uint8Array(body) });
    if (response.status !== 201) throw new Error(await response.text());
  };
  const post = (batch: Uint8Array, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${url}/v1/batches`, {
      method: 'POST',
      body: new Uint8Array(batch),
      headers: { 'Content-Type': 'application/cose', 'Commons-Nonce': NONCE, ...headers },
    });
  try {
    await enrol();
    await run({ url, dir, ledger, meter, post });
  } finally {
    await server.close();
    await ledger.close();
    remove();
  }
}

/** The reply, its tag checked as a meter checks it. */
async function open(response: Response, meter: TestMeter): Promise<Reply<Uint8Array>> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const { header, payload, proof } = decodeMac0(bytes);
  const covered = written((out) => encodeMacStructure(out, header, payload));
  const tag = createHmac('sha256', meter.pairingKey).update(covered).digest();
  if (Buffer.compare(tag, proof) !== 0) throw new Error('the tag does not verify');
  return decodeReply(payload);
}

test('a meter’s day: accepted, repeated, refused, each under its tag and nonce', (t) =>
  onServer(async ({ meter, post, ledger }) => {
  const [first, second] = [meter.batch(), meter.batch()];
  const early = await post(second);
  t.is(early.status, 409);
  const wanted = await open(early, meter);
  t.like(wanted, { kind: 2, entryIndex: 0, nextSeq: 1, lastHash: null });

  const accepted = await post(first);
  t.is(accepted.status, 200);
  t.is(accepted.headers.get('content-type'), 'application/cose');
  const reply = await open(accepted, meter);
  const nowS = Math.floor(ledger.clock.nowMs() / 1000);
  t.like(reply, { kind: 0, origin: 'ledger.test/commons', entryIndex: 2, nextSeq: 5, unixS: nowS });
  t.deepEqual(reply.batchHash, digest(first));
  t.deepEqual(reply.lastHash, digest(first));
  t.deepEqual(reply.nonce, new Uint8Array(Buffer.from(NONCE, 'hex')));
  t.deepEqual(reply.meterId, meter.id);

  t.like(await open(await post(first), meter), { kind: 1, entryIndex: 2 });
  const forged = second.map((byte, i) => (i === second.length - 1 ? byte ^ 1 : byte));
  const refused = await post(forged);
  t.is(refused.status, 422);
  t.like(await open(refused, meter), { kind: 3, entryIndex: 0 });
  t.like(await open(await post(second), meter), { kind: 0, entryIndex: 3, nextSeq: 9 });
  const ahead = meter.batch(meter.records(1, (record) => ({ ...record, unixS: nowS + 3_600 })));
  const answered = await post(ahead);
  t.is(answered.status, 503);
  t.like(await open(answered, meter), { kind: 4, entryIndex: 0, nextSeq: 9 });
}));

test('a full disk: try later, under the tag, and the batch is taken afterwards', async (t) => {
  let isFull = false;
  const onStep = (): void => {
    if (isFull) throw new Error('no space left on device');
  };
  await onServer(async ({ meter, post, url }) => {
    const batch = meter.batch();
    isFull = true;
    const refused = await post(batch);
    t.is(refused.status, 503);
    t.like(await open(refused, meter), { kind: 4, entryIndex: 0, lastHash: null });
    t.is((await post(batch)).status, 503);
    t.is((await fetch(`${url}/checkpoint`)).status, 200);
    isFull = false;
    t.like(await open(await post(batch), meter), { kind: 0, entryIndex: 2 });
  }, { onStep });
});

test('a retirement is taken once, and refused for what is wrong with it, each by its name', (t) =>
  onServer(async ({ url, meter, ledger }) => {
  const post = (bytes: Uint8Array, type = 'application/cose'): Promise<Response> => (
    fetch(`${url}/v1/retirements`, {
      method: 'POST', body: new Uint8Array(bytes), headers: { 'Content-Type': type },
    })
  );
  const size = ledger.log().size();
  for (const [bytes, status, code] of [
    [retirementBytes(createVolunteer('mallory'), meter.id), 403, 'not-enroller'],
    [retirementBytes(VOLUNTEER, new Uint8Array(8)), 404, 'unknown-meter'],
    [retirementBytes(VOLUNTEER, meter.id, { origin: 'other.test/log' }), 422, 'bad-retirement'],
    [Uint8Array.of(...retirementBytes(VOLUNTEER, meter.id), 0), 422, 'malformed-retirement'],
    [new Uint8Array(513), 413, 'too-large'],
  ] as const) {
    const response = await post(bytes);
    t.is(response.status, status, code);
    t.is((await response.json() as { type: string }).type, `urn:commons-kit:${code}`);
  }
  t.is(ledger.log().size(), size);
  const paper = retirementBytes(VOLUNTEER, meter.id);
  t.is((await post(paper, 'application/cbor')).status, 415);
  for (const status of [201, 200]) {
    const response = await post(paper);
    t.is(response.status, status);
    t.deepEqual(await response.json(), { meter: meter.idHex, index: size });
  }
  const node = await (await fetch(`${url}/v1/nodes/${meter.idHex}`)).json() as { state: string };
  t.is(node.state, 'retired');
  const page = await (await fetch(`${url}/node/${meter.idHex}`)).text();
  t.regex(page, /taken out of service/);
}));

test('a price is taken once, and refused for what is wrong with it, each by its name', (t) =>
  onServer(async ({ url, ledger }) => {
  const post = (bytes: Uint8Array, type = 'application/cose'): Promise<Response> => (
    fetch(`${url}/v1/prices`, {
      method: 'POST', body: new Uint8Array(bytes), headers: { 'Content-Type': type },
    })
  );
  const size = ledger.log().size();
  for (const [bytes, status, code] of [
    [priceBytes(createVolunteer('mallory')), 403, 'not-admitted'],
    [priceBytes(VOLUNTEER, { origin: 'ledger.test/other' }), 422, 'bad-price'],
    [priceBytes(VOLUNTEER, { currency: 'XAU' }), 422, 'malformed-price'],
    [Uint8Array.of(...priceBytes(VOLUNTEER), 0), 422, 'malformed-price'],
    // The clock says 11 January: December ended eleven days ago.
    [priceBytes(VOLUNTEER, { validFrom: '2025-12-31' }), 409, 'month-closed'],
    [new Uint8Array(513), 413, 'too-large'],
  ] as const) {
    const response = await post(bytes);
    t.is(response.status, status, code);
    const problem = await response.json() as Record<string, string>;
    t.is(problem.type, `urn:commons-kit:${code}`);
    t.truthy(problem.expected);
    t.truthy(problem.got);
  }
  t.is((await post(priceBytes(VOLUNTEER), 'application/json')).status, 415);
  t.is(ledger.log().size(), size);

  const good = priceBytes(VOLUNTEER);
  const taken = await post(good);
  t.is(taken.status, 201);
  t.deepEqual(await taken.json(), {
    index: size, currency: 'EUR', exponent: 2, milli_minor_per_kwh: 31_450, per_kwh: '0.31450',
    valid_from: '2026-01-01', zone: 'Europe/Berlin', starts: '2026-01-01T00:00:00Z',
  });
  const again = await post(good);
  t.is(again.status, 200);
  t.is((await again.json() as { index: number }).index, size);
  const other = await post(priceBytes(VOLUNTEER, { currency: 'CHF' }));
  t.is(other.status, 409);
  t.is((await other.json() as { type: string }).type, 'urn:commons-kit:price-currency');
  t.is(ledger.log().size(), size + 1);
  const { prices } = await (await fetch(`${url}/v1/prices`)).json() as { prices: unknown[] };
  t.is(prices.length, 1);
  const report = await audit(webFiles(url), { policy: policyOf(ledger) });
  t.deepEqual(report.findings, []);
  t.deepEqual(report.months?.prices, [
    { entry: size, perKWh: '0.31450', validFrom: '2026-01-01', zone: 'Europe/Berlin' },
  ]);
}));

test('problems say what was expected', (t) => onServer(async ({ url, meter, post, ledger }) => {
  const problemOf = async (response: Response, status: number): Promise<Record<string, unknown>> => {
    t.is(response.status, status);
    t.is(response.headers.get('content-type'), 'application/problem+json');
    return (await response.json()) as Record<string, unknown>;
  };
  const batch = meter.batch();
  const stranger = await problemOf(await post(createMeter('bob').batch()), 404);
  t.is(stranger.type, 'urn:commons-kit:unknown-meter');
  await problemOf(await post(batch, { 'Commons-Nonce': '' }), 400);
  await problemOf(await post(batch, { 'Commons-Nonce': NONCE.slice(1) }), 400);
  await problemOf(await post(batch, { 'Content-Type': 'application/json' }), 415);
  await problemOf(await post(new Uint8Array(16_385)), 413);
  await problemOf(await post(batch.slice(1)), 422);
  await problemOf(await fetch(`${url}/v1/batches`), 404);
  const nowhere = [
    '/tile/0/000', '/tile/0/../../secrets.db', '/blob/..%2fsecrets.db', '/secrets.db', '/blob/xyz',
    '/v1/nothing',
  ];
  for (const path of nowhere) {
    await problemOf(await fetch(url + path), 404);
  }
  t.is(ledger.log().size(), 2);
}));

test('kits: repeated is fine, strangers and other terms are not', (t) =>
  onServer(async ({ url, ledger, meter }) => {
  const { origin, ageRecipient } = ledger.store.keys;
  const post = async (body: Uint8Array): Promise<number> =>
    (await fetch(`${url}/v1/kits`, { method: 'POST', body: new Uint8Array(body) })).status;
  const bob = createMeter('bob');
  const body = await enrolmentBody(bob, VOLUNTEER, { origin, ageRecipient, privateName: 'Bob’s' });
  t.is(await post(body), 201);
  t.is(await post(body), 200);
  t.is(ledger.store.privateName(bob.id), 'Bob’s');
  t.is(await post(await enrolmentBody(meter, VOLUNTEER, { origin, ageRecipient, publish: 2 })), 409);
  const carol = createMeter('carol');
  const mallory = createVolunteer('mallory');
  t.is(await post(await enrolmentBody(carol, mallory, { origin, ageRecipient })), 403);
  t.is(await post(await enrolmentBody(carol, VOLUNTEER, { origin: 'other.test', ageRecipient })), 422);
  const spoil = (key: number, value: unknown) => (payload: Map<number, unknown>): void => {
    payload.set(key, value);
  };
  const bad: [number, unknown][] = [
    [1, 'commons-kit/other'], [2, 'other.test'], [3, carol.statement('other.test')],
    [4, digest('other')],
    [5, 4], [7, new Map()], [7, 1], [8, 0], [9, 1001], [10, 'more'],
  ];
  for (const [key, value] of bad) {
    const change = spoil(key, value);
    const changed = await enrolmentBody(carol, VOLUNTEER, { origin, ageRecipient, change });
    t.is(await post(changed), 422, `member ${key}`);
  }
  t.is(await post(body.slice(0, -1)), 400);
  t.is(await post(new Uint8Array(16_385)), 413);
  t.is(ledger.log().size(), 3);
}));

test('public files, as tlog-tiles serves them, audited over HTTP', (t) =>
  onServer(async ({ url, meter, post, ledger }) => {
  for (let i = 0; i < 3; i++) t.is((await post(meter.batch())).status, 200);
  const checkpoint = await fetch(`${url}/checkpoint`);
  t.is(checkpoint.headers.get('content-type'), 'text/plain; charset=utf-8');
  t.is(checkpoint.headers.get('cache-control'), 'no-cache');
  const tile = await fetch(`${url}/tile/0/000.p/5`);
  t.is((await tile.arrayBuffer()).byteLength, 5 * 32);
  const report = await audit(webFiles(url), { policy: policyOf(ledger) });
  t.deepEqual(report.findings, []);
  t.true(report.ok);
  t.is(report.blobs.disclosed, 4);
  const about = (await (await fetch(`${url}/v1/ledger`)).json()) as Record<string, unknown>;
  t.is(about.vkey, ledger.log().vkey);
  t.is(about.origin, 'ledger.test/commons');
  t.regex(String(about.age_recipient), /^age1/);
}));

test('an audit over HTTP finds full tiles where partial ones went', (t) =>
  onServer(async ({ url, ledger }) => {
  await Promise.all(Array.from({ length: 260 }, (_, i) => ledger.admit(digest(`${i}`))));
  const { findings, size } = await audit(webFiles(url), { policy: policyOf(ledger) });
  t.deepEqual(findings, []);
  t.is(size, 262);
  const old = await webFiles(url).read('tile/entries/000.p/2');
  t.true(old !== null && old.length > 4);
}));

test('too many posts from one address are told when to come again', (t) =>
  onServer(async ({ meter, post }) => {
  const batch = meter.batch();
  // The enrolment took one.
  t.is((await post(batch)).status, 200);
  const limited = await post(batch);
  t.is(limited.status, 429);
  t.true(Number(limited.headers.get('retry-after')) >= 1);
}, { limits: { posts: { burst: 2, perS: 0.01 } } }));

test('a slow client is cut off, others are served meanwhile', (t) =>
  onServer(async ({ url, meter, post }) => {
  const { port } = new URL(url);
  const slow = connect(Number(port), '127.0.0.1');
  const ended = new Promise<string>((resolve) => {
    let said = '';
    slow.on('data', (bytes) => void (said += bytes.toString('latin1')));
    slow.on('close', () => resolve(said));
    slow.on('error', () => {});
  });
  slow.write('POST /v1/batches HTTP/1.1\r\nHost: x\r\nContent-Type: application/cose\r\n'
    + `Commons-Nonce: ${NONCE}\r\nContent-Length: 1000\r\n\r\nslow`);
  t.is((await post(meter.batch())).status, 200);
  t.regex(await ended, /^(HTTP\/1.1 408|$)/);
}, { limits: { requestMs: 2_000 } }));

test('whoever waits for the ledger’s own work is not taken for a slow peer', async (t) => {
  const { dir, remove } = temporaryDir();
  const ledger = await openTestLedger(dir);
  const work = Promise.withResolvers<void>();
  const slow = {
    ...ledger,
    async backUp() {
      await work.promise;
      return { files: 7 };
    },
  };
  const limits = { ...LIMITS, requestMs: 100 };
  const server = await serveLedger(slow, { limits });
  const asked = askAdmin<{ files: number }>(join(dir, 'admin.sock'), 'backup', 'elsewhere');
  // Longer than a peer may be idle.
  setTimeout(work.resolve, 4 * limits.requestMs);
  t.deepEqual(await asked, { files: 7 });
  await server.close();
  await ledger.close();
  remove();
});

test('a peer that does not take its answer is let go', async (t) => {
  const endless = new Hono().get('/', () => new Response(new ReadableStream({
    pull: (stream) => stream.enqueue(new Uint8Array(65_536)),
  })));
  const server = boundedServer(endless, { ...LIMITS, requestMs: 100 });
  const letGo = new Promise((resolve) => {
    server.once('connection', (socket) => socket.once('close', resolve));
  });
  await listenOnPort(server, 0);
  const peer = connect((server.address() as AddressInfo).port, '127.0.0.1');
  peer.on('error', () => {});
  peer.pause();
  peer.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await letGo;
  peer.destroy();
  await closeServer(server, 0);
  t.pass();
});

test('the same routes on a Unix socket', (t) => onServer(async ({ dir }) => {
  const status = await new Promise((resolve, reject) => {
    const options = { socketPath: join(dir, 'http.sock'), path: '/v1/ledger' };
    request(options, (response) => resolve(response.statusCode)).on('error', reject).end();
  });
  t.is(status, 200);
}, { listenUnix: true }));

test('questions and pages are mounted', (t) => onServer(async ({ url, meter, post }) => {
  t.is((await post(meter.batch())).status, 200);
  const { nodes } = (await (await fetch(`${url}/v1/nodes`)).json()) as { nodes: unknown[] };
  t.is(nodes.length, 1);
  for (const path of ['/', `/node/${meter.idHex}`, '/audit', '/metrics', '/v1/openapi.json']) {
    t.is((await fetch(url + path)).status, 200, path);
  }
}));
