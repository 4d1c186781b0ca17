// What the node claims, read strictly.
import test from 'ava';
import fc from 'fast-check';
import '../helpers/firmware.ts';

const { parseCounters, probe, reasonOf } = await import('../../firmware/probe.ts');
const { FLAG } = await import('../../firmware/wire.ts');

const boot = '00112233445566778899aabbccddeeff';
const good = {
  v: 1, boot, wan_in_bytes: 9_007_199_254, wan_out_bytes: 12, disk_used_bytes: 0,
  temperature_milli_c: -5000, users: 1, posts: 2,
};
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

test('reads numbers exactly, up to 2^51', (t) => {
  t.deepEqual(parseCounters(bytes(good)), {
    boot: Buffer.from(boot, 'hex'), wanInBytes: 9_007_199_254, wanOutBytes: 12, diskUsedBytes: 0, host: '',
  });
  t.truthy(parseCounters(bytes({ ...good, temperature_milli_c: null })));
  t.truthy(parseCounters(Buffer.from(JSON.stringify(good, null, 2) + '\n')));
  fc.assert(
    fc.property(fc.maxSafeNat(), (n) => {
      const read = parseCounters(bytes({ ...good, wan_in_bytes: n }));
      t.is(read?.wanInBytes, n < 2 ** 51 ? n : undefined);
    }),
  );
});

test('refuses all else, and never throws', (t) => {
  const bad: unknown[] = [
    { ...good, v: 2 }, { ...good, boot: 'xyz' }, { ...good, boot: boot.toUpperCase() },
    { ...good, wan_in_bytes: -1 }, { ...good, wan_in_bytes: 1.5 }, { ...good, wan_in_bytes: '1' },
    { ...good, wan_in_bytes: null }, { ...good, more: [1] }, { ...good, disk_used_bytes: undefined },
    [], 1, null, 'x',
  ];
  for (const one of bad) t.is(parseCounters(bytes(one)), null, JSON.stringify(one));
  const whole = bytes(good);
  for (let i = 0; i < whole.length; i++) t.is(parseCounters(whole.subarray(0, i)), null);
  fc.assert(fc.property(fc.uint8Array(), (junk) => void parseCounters(Buffer.from(junk))));
});

test('a node that is silent, or answers otherwise, is down', async (t) => {
  const millis = () => 0;
  const down = { answered: false, counters: null };
  const other = await probe({ get: async () => null, millis }, 'alice.test');
  t.deepEqual(other, { ...down, why: FLAG.wrongAnswer });
  const silent = async () => { throw new Error('http: time is up'); };
  t.deepEqual(await probe({ get: silent, millis }, 'alice.test'), { ...down, why: FLAG.hung });
  const asked: string[] = [];
  const get = async (url: string) => { asked.push(url); return Buffer.from('hello'); };
  const up = await probe({ get, millis }, 'alice.test');
  t.deepEqual(up, { answered: true, counters: null, why: FLAG.wrongAnswer });
  t.deepEqual(asked, ['http://alice.test:8010/counters']);
});

test('a reason for each way in which a request fails', (t) => {
  const reasons: [why: number, message: string, afterMs: number][] = [
    [FLAG.refused, 'connect: socket tcp://n:8010: connect ECONNREFUSED 10.0.0.2:8010', 2],
    [FLAG.noRoute, 'connect: socket tcp://n:8010: getaddrinfo ENOTFOUND n', 40],
    [FLAG.noRoute, 'connect: socket tcp://n:8010: connect EHOSTUNREACH 10.0.0.2:8010', 3000],
    [FLAG.noRoute, "connect: socket tcp://n:8010: can't resolve host", 12],
    [FLAG.noRoute, 'connect: socket tcp://n:8010: Timeout', 5000],
    [FLAG.refused, "connect: socket tcp://n:8010: can't connect", 9],
    [FLAG.noRoute, "connect: socket tcp://n:8010: can't connect", 3200],
    [FLAG.hung, 'http: time is up', 5000],
    [FLAG.hung, 'http: no answer', 30],
    [FLAG.wrongAnswer, 'http: closed early', 30],
    [FLAG.wrongAnswer, 'http: no status line', 30],
  ];
  for (const [why, message, afterMs] of reasons) t.is(reasonOf(message, afterMs), why, message);
});
