// Pairs a meter with a kit: writes what the meter must know, has it state its key, and enrols that
// key with the ledger under the volunteer's name. Can be cut off anywhere and done again: secrets
// are kept, the meter repeats its statement, and the same enrolment is sent again.

import type { Workbench } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import type { RandomSource } from '../campaign/identity.ts';
import { ownerPublicKey } from '../campaign/owner-key.ts';
import { KitError } from '../errors.ts';
import { encodeCalibration, UNCALIBRATED, type Calibration } from './calibration.ts';
import { makeEnrolment, readStatement, type MeterStatement, type Terms } from './enrolment.ts';
import { describeLedger, enrolKit, type Enrolled, type Fetch } from './ledger-client.ts';
import type { MeterPort } from './port.ts';

export interface PairOptions {
  /** SHA-256 of the program that the meter runs. */
  firmwareHash: Uint8Array;
  /** Where the bench reaches the ledger, if not where the meter does. */
  ledgerUrl?: string;
  /** A record is closed, a batch sent, the node probed this often. */
  intervalS?: number;
  batchS?: number;
  probeS?: number;
  /** How long an answer of the node may take, 1 to 255 s. */
  patienceS?: number;
  /** Of the first key's tree: 5 is there at once, 10 in minutes on a board. Others follow it. */
  keyHeight?: 5 | 10;
  supplyEfficiencyPermille?: number;
  /** What the bench found for this very board; without it, its parts' nominal values. */
  calibration?: Calibration;
  /** The home's, where the meter reaches it by radio: the first is joined, the others where it stays away. */
  wifi?: { ssid: string; passphrase: string }[];
  /** Real time for the meter to make its key and state it. */
  limitMs?: number;
}

export interface PairDeps {
  fetch: Fetch;
  random: RandomSource;
  say: (text: string) => void;
}

export interface Paired {
  /** 16 hexadecimal digits. */
  meter: string;
  publicKey: string;
  firmwareHash: string;
  /** Of the ledger's log. */
  entry: number;
  assurance: string;
  /** The public half, hexadecimal; null where the enrolment was made before there were such keys. */
  ownerKey: string | null;
}

/** Of firmware/settings.ts. */
const MOST_NETWORKS = 4;
const DEFAULTS = { intervalS: 900, batchS: 3600, probeS: 30, patienceS: 5, keyHeight: 5 as 5 | 10 };
/** 1.5 minutes on a C3 for a key of height 10; twice that, and the boot. */
const STATEMENT_LIMIT_MS = 240_000;
/** External supplies of 2020 by EU 2019/1782 at 10–49 W. */
const SUPPLY_EFFICIENCY_PERMILLE = 850;

/** @throws KitError `ledger-…`, `setting-…`, `meter-silent`, `statement-invalid` */
export async function pairMeter(
  bench: Workbench,
  kit: Kit,
  { port, options, deps }: { port: MeterPort; options: PairOptions; deps: PairDeps },
): Promise<Paired> {
  const { record } = bench;
  record.start(kit.name, 'pair');
  try {
    const paired = await enrolMeter(bench, kit, { port, options, deps });
    record.done(kit.name, 'pair', { ...paired });
    return paired;
  } catch (error) {
    record.fail(kit.name, 'pair', error);
    throw error;
  }
}

async function enrolMeter(
  bench: Workbench,
  kit: Kit,
  { port, options, deps }: { port: MeterPort; options: PairOptions; deps: PairDeps },
): Promise<Paired> {
  const { campaign, secrets } = bench;
  const url = options.ledgerUrl ?? campaign.ledger;
  const origin = campaign.ledgerOrigin;
  const ledger = await describeLedger(url, origin, deps);
  const { pairingKey, enrolNonce: nonce } = await secrets.kit(kit);
  const { firmwareHash } = options;
  deps.say('writing settings to the meter');
  const settings = settingsOf(kit, options, {
    ...{ ledger: campaign.ledger, origin, pairingKey, nonce, entropy: deps.random(32) },
  });
  for (const [key, value] of settings) await port.writeSetting(key, value);
  deps.say('waiting for the meter to make its key');
  const bytes = await hearStatement(port, options.limitMs ?? STATEMENT_LIMIT_MS);
  const statement = readStatement(bytes, { origin, nonce, firmwareHash });
  deps.say(`enrolling meter ${hex(statement.meterId)}`);
  const calibrationId = (options.calibration ?? UNCALIBRATED).id;
  const ownerKey = ownerPublicKey(await secrets.ownerKey(kit));
  const parts = { statement, calibrationId, ownerKey };
  const { body, ownerKey: named } = await enrolmentOnce(bench, kit, parts, async () =>
    makeEnrolment(statement, bench.identity, {
      origin,
      terms: { ...termsOf(kit, options, port), ownerKey },
      sealing: { recipient: ledger.age_recipient, pairingKey, privateName: kit.name },
    }),
  );
  if (named === null) deps.say('it was enrolled without an owner’s key: its owner cannot ask the ledger');
  return { ...outcome(statement, firmwareHash, port, await enrolKit(url, body, deps)), ownerKey: named };
}

/** As firmware/settings.ts reads them. Numbers are u32 LE. */
function settingsOf(
  kit: Kit,
  options: PairOptions,
  parts: {
    ledger: string;
    origin: string;
    pairingKey: Uint8Array;
    nonce: Uint8Array;
    entropy: Uint8Array;
  },
): [key: string, value: Uint8Array][] {
  const { intervalS, batchS, probeS, patienceS, keyHeight } = { ...DEFAULTS, ...options };
  const { wifi = [], calibration = UNCALIBRATED } = options;
  // The runtime's own keys: it joins that network at boot (devicescript, network/wifi.c).
  const joining: [string, Uint8Array][] = wifi.slice(0, 1).flatMap(({ ssid, passphrase }) => [
    ['wifi_ssid', Buffer.from(ssid)], ['wifi_psk', Buffer.from(passphrase)],
  ]);
  return [
    ...joining,
    ...networkSettings(wifi.length > 1 ? wifi : []),
    ['origin', Buffer.from(parts.origin)],
    ['node', Buffer.from(kit.domain)],
    ['host', Buffer.from(kit.name)],
    ['pairkey', parts.pairingKey],
    ['entropy', parts.entropy],
    ['nonce', parts.nonce],
    ['firmware', options.firmwareHash],
    ['times', new Uint8Array(new Uint32Array([intervalS, batchS, probeS]).buffer)],
    ['patience', Uint8Array.of(patienceS)],
    ['height', Uint8Array.of(keyHeight)],
    ['calib', encodeCalibration(calibration)],
    // The last: a meter that finds it takes the others for whole.
    ['ledger', Buffer.from(parts.ledger)],
  ];
}

/** What was there before goes: a value that begins with 0 ends the list. */
function networkSettings(networks: NonNullable<PairOptions['wifi']>): [string, Uint8Array][] {
  const values = networks.map(({ ssid, passphrase }) => `${ssid}\0${passphrase}`);
  const ended = values.length < MOST_NETWORKS ? [...values, '\0'] : values;
  return ended.map((value, i) => [`net${i + 1}`, Buffer.from(value)]);
}

/** Its first lines may come before the lead has woken: it says the same at each start. */
const STARTS = 3;

/** Restarts the meter and collects its lines `enrol I/N HEX`. */
async function hearStatement(port: MeterPort, limitMs: number): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const parts: string[] = [];
  let lastLine = 'nothing at all';
  let starts = 0;
  const start = (): void => {
    starts++;
    port.restart().catch(reject);
  };
  const timer = setTimeout(() => reject(silent(lastLine)), limitMs);
  const stop = port.onLine((line) => {
    const [, index, count, digits] = /^enrol (\d+)\/(\d+) ([0-9a-f]+)$/.exec(line) ?? [];
    if (index === undefined) lastLine = line;
    else parts[Number(index) - 1] = digits!;
    if (index === undefined || index !== count) return;
    if (parts.filter(Boolean).length === Number(count)) {
      resolve(new Uint8Array(Buffer.from(parts.join(''), 'hex')));
    } else if (starts < STARTS) start();
  });
  try {
    start();
    return await promise;
  } finally {
    clearTimeout(timer);
    stop();
  }
}

function termsOf(
  kit: Kit, options: PairOptions, { assurance }: MeterPort,
): Omit<Terms, 'ownerKey'> {
  return {
    ...{ publish: kit.publish, assurance, calibration: statedCalibration(options) },
    intervalS: options.intervalS ?? DEFAULTS.intervalS,
    supplyEfficiencyPermille: options.supplyEfficiencyPermille ?? SUPPLY_EFFICIENCY_PERMILLE,
  };
}

/** As an enrolment's terms have it: names with their units, as the ledger's documents do. */
function statedCalibration({ calibration = UNCALIBRATED }: PairOptions): Terms['calibration'] {
  return {
    id: calibration.id,
    nano_amp_per_step: calibration.nanoAmpPerStep,
    offset_nano_amp: calibration.offsetNanoAmp,
    nano_volt_per_step: calibration.nanoVoltPerStep,
  };
}

/**
 * The seal is random, so a second enrolment of the same meter would be another one, which ledgers
 * refuse. What was made for this statement before is sent again instead, with the owner's key that
 * it names, if any.
 * @throws KitError `enrolled-otherwise` that one names another calibration
 */
async function enrolmentOnce(
  { record }: Workbench,
  kit: Kit,
  { statement, calibrationId, ownerKey }: {
    statement: MeterStatement;
    calibrationId: number;
    ownerKey: Uint8Array;
  },
  make: () => Promise<Uint8Array>,
): Promise<{ body: Uint8Array; ownerKey: string | null }> {
  const sent = record.history(kit.name).findLast(({ step }) => step === 'enrolment')?.detail;
  if (sent?.['statement'] === hex(statement.bytes)) {
    const before = Number(sent['calibration'] ?? 0);
    if (before !== calibrationId) throw enrolledOtherwise(before, calibrationId);
    const named = sent['ownerKey'];
    const body = new Uint8Array(Buffer.from(String(sent['body']), 'hex'));
    return { body, ownerKey: typeof named === 'string' ? named : null };
  }
  const body = await make();
  const named = { calibration: calibrationId, ownerKey: hex(ownerKey) };
  record.done(kit.name, 'enrolment', { statement: hex(statement.bytes), body: hex(body), ...named });
  return { body, ownerKey: named.ownerKey };
}

function outcome(
  { meterId, publicKey }: MeterStatement,
  firmwareHash: Uint8Array,
  { assurance }: MeterPort,
  enrolled: Enrolled,
): Omit<Paired, 'ownerKey'> {
  const meter = hex(meterId);
  if (enrolled.meter !== meter) {
    throw new KitError({
      code: 'ledger-unintelligible',
      message: 'The ledger enrolled another meter',
      ...{ expected: meter, got: enrolled.meter },
      hint: 'Is this the ledger of the campaign? Ask whoever runs it before the kit goes out.',
    });
  }
  const keys = { publicKey: hex(publicKey), firmwareHash: hex(firmwareHash) };
  return { meter, ...keys, entry: enrolled.index, assurance };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function enrolledOtherwise(before: number, now: number): KitError {
  return new KitError({
    code: 'enrolled-otherwise',
    message: 'This meter’s key was enrolled with another calibration',
    expected: `calibration ${before}`,
    got: `calibration ${now}`,
    hint: 'A key has one calibration: erase the meter’s FRAM for a new key, or put another board in.',
  });
}

function silent(lastLine: string): KitError {
  return new KitError({
    code: 'meter-silent',
    message: 'The meter did not state its key',
    expected: 'lines `enrol I/N HEX`',
    got: lastLine,
    hint: 'A meter that has reported already states its key no more: its FRAM belongs to a kit.',
  });
}
