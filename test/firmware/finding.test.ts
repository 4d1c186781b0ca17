// The node found again: where it is asked, in which order, and how far the meter looks. Once by the
// finder alone, once by a whole meter on Node.
import test from 'ava';
import '../helpers/firmware.ts';
import { createLoneMeter } from '../helpers/lone-meter.ts';
import { httpResponse } from './year/network.ts';

const { Finder } = await import('../../firmware/finding.ts');
const { FLAG } = await import('../../firmware/wire.ts');

const MINUTE_MS = 60_000;
const HOUR_S = 3_600;

/** A home where the node answers at `at`, asked once a minute. */
function scene(options: { own?: number[] | null; kept?: Buffer } = {}) {
  const { own = [192, 168, 7, 20], kept = null } = options;
  const state = { at: 'alice.test', nowMs: 0, asked: [] as string[], kept: [] as string[] };
  const ask = async (place: string) => {
    state.asked.push(place);
    return { answered: place === state.at };
  };
  const finder = new Finder({
    askByName: ask,
    askAt: ask,
    ownAddress: async () => (own === null ? null : Buffer.from(own)),
    millis: () => state.nowMs,
    keep: async (address) => void state.kept.push([...address].join('.')),
  }, 'alice.test', kept);
  const minutes = async (count: number) => {
    let last = await finder.ask();
    for (let i = 1; i < count; i++) {
      state.nowMs += MINUTE_MS;
      last = await finder.ask();
    }
    state.nowMs += MINUTE_MS;
    return last;
  };
  return { finder, state, minutes };
}

test('by its name, as long as it answers there; five minutes before anybody else is asked', async (t) => {
  const { state, minutes } = scene();
  t.deepEqual(await minutes(10), { asked: { answered: true }, moved: false });
  state.at = '';
  t.false((await minutes(5)).asked.answered);
  t.deepEqual(new Set(state.asked), new Set(['alice.test']));
});

test('a whole network once, eight addresses at a time, never the meter itself; then six hours of rest', async (t) => {
  const { state, minutes } = scene();
  state.at = '';
  await minutes(120);
  const searched = state.asked.filter((place) => place !== 'alice.test');
  t.deepEqual(searched, Array.from({ length: 254 }, (_, i) => `192.168.7.${i + 1}`)
    .filter((address) => address !== '192.168.7.20'));
  await minutes(4 * 60);
  t.is(state.asked.filter((place) => place !== 'alice.test').length, 253);
  await minutes(120);
  t.is(state.asked.filter((place) => place !== 'alice.test').length, 2 * 253);
});

test('where it was found it is asked first; its name, and a search, find it when it moves on', async (t) => {
  const { finder, state, minutes } = scene();
  state.at = '192.168.7.99';
  const found = await minutes(25);
  t.true(found.asked.answered);
  t.deepEqual(state.kept, ['192.168.7.99']);
  t.is(finder.place, '192.168.7.99');
  state.asked = [];
  t.deepEqual(await minutes(1), { asked: { answered: true }, moved: false });
  t.deepEqual(state.asked, ['192.168.7.99']);
  state.at = 'alice.test';
  t.true((await minutes(1)).asked.answered);
  t.is(finder.place, 'alice.test');
  state.at = '192.168.7.3';
  t.true((await minutes(20)).asked.answered);
  t.deepEqual(state.kept, ['192.168.7.99', '192.168.7.3']);
});

test('the place of another life is asked after the name, without a search, and is no move', async (t) => {
  const { state, minutes } = scene({ kept: Buffer.of(10, 1, 2, 3), own: null });
  state.at = '10.1.2.3';
  t.deepEqual(await minutes(1), { asked: { answered: true }, moved: false });
  t.deepEqual(state.asked, ['alice.test', '10.1.2.3']);
});

test('no network but a private one is searched', async (t) => {
  const searched = async (own: number[] | null): Promise<boolean> => {
    const { state, minutes } = scene({ own });
    state.at = '';
    await minutes(20);
    return state.asked.some((place) => place !== 'alice.test');
  };
  for (const own of [[10, 0, 0, 1], [172, 16, 0, 1], [172, 31, 9, 1], [192, 168, 1, 1]]) {
    t.true(await searched(own), String(own));
  }
  for (const own of [[172, 32, 0, 1], [11, 0, 0, 1], [192, 169, 1, 1], [127, 0, 0, 1], [10], null]) {
    t.false(await searched(own), String(own));
  }
});

test('a meter whose node moved: not taken for another, found, flagged, and found again after a power cut', async (t) => {
  const meter = createLoneMeter({ seed: 3, timesS: [60, 600, 30] });
  const { home, ledger } = meter;
  home.own = Buffer.of(192, 168, 1, 44);
  home.host = 'node';
  const flagsFrom = (seq: number) => ledger.records.filter(({ firstSeq }) => firstSeq > seq)
    .reduce((all, { flags }) => all | flags, 0);
  const lastSeq = () => ledger.records.at(-1)?.lastSeq ?? 0;
  meter.powerOn();
  await meter.run(900);
  t.is(flagsFrom(0), 0);
  home.nodeAt = '192.168.1.60';
  const stranger = { v: 1, boot: 'f'.repeat(32), wan_in_bytes: 9e9, wan_out_bytes: 9e9, disk_used_bytes: 1 };
  home.others.set('192.168.1.30', httpResponse(200, Buffer.from(JSON.stringify({ ...stranger, host: 'bob' }))));
  home.others.set('192.168.1.31', httpResponse(200, Buffer.from(JSON.stringify(stranger))));
  home.others.set('192.168.1.32', httpResponse(200, Buffer.from('welcome to your printer')));
  await meter.run(2 * HOUR_S);
  t.is(meter.meter()!.place, '192.168.1.60');
  t.is(flagsFrom(0), FLAG.noRoute | FLAG.nodeMoved);
  t.is(ledger.records.filter(({ flags }) => (flags & FLAG.nodeMoved) !== 0).length, 1);
  t.true(ledger.records.at(-1)!.wanInBytes < 9e9, 'no stranger’s counters');
  const before = { upS: ledger.records.at(-1)!.upS, seq: lastSeq() };
  meter.cutPower();
  meter.powerOn();
  await meter.run(1_800);
  t.is(flagsFrom(before.seq) & ~FLAG.powerLost, 0);
  t.true(ledger.records.at(-1)!.upS >= before.upS + 600);
  t.deepEqual(meter.problems, []);
});
