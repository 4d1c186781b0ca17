// What the node claims, read strictly.
import test from 'ava';
import fc from 'fast-check';
import { parseCounters, probe } from '../../firmware/probe.ts';

const boot = '00112233445566778899aabbccddeeff';
const good = {
  v: 1, boot, wan_in_bytes: 9_007_199_254, wan_out_bytes: 12, disk_used_bytes: 0,
  temperature_milli_c: -5000, users: 1, posts: 2,
};
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

test('reads numbers exactly, up to 2^51', (t) => {
  t.deepEqual(parseCounters(bytes(good)), {
    boot: Buffer.from(boot, 'hex'), wanInBytes: 9_007_199_254, wanOutBytes: 12, diskUsedBytes: 0,
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
  t.deepEqual(await probe({ get: async () => null }, 'alice.test'), { answered: false, counters: null });
  const silent = async () => { throw new Error('time is up'); };
  t.deepEqual(await probe({ get: silent }, 'alice.test'), { answered: false, counters: null });
  const asked: string[] = [];
  const get = async (url: string) => { asked.push(url); return Buffer.from('hello'); };
  t.deepEqual(await probe({ get }, 'alice.test'), { answered: true, counters: null });
  t.deepEqual(asked, ['http://alice.test:8010/counters']);
});
