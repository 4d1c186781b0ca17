// Interval arithmetic: nothing is rounded away, durations sum to the time, the node's restarts are
// bridged, and a power cut at any point between two writes leaves counters that only rise.
import test from 'ava';
import fc from 'fast-check';
import '../helpers/firmware.ts';
import type { NodeCounters, Running } from '../../firmware/interval.ts';

const { REACH, addProbe, addSecond, close, resume } = await import('../../firmware/interval.ts');
const { FLAG, emptyRecord, putDelta } = await import('../../firmware/wire.ts');

const second = { elapsedMs: 1000, microW: 5_000_000, overRange: false, reach: 1, unixS: 0, timeState: 0 };

function claim(boot: number, wanInBytes: number): NodeCounters {
  return { boot: Buffer.alloc(16, boot), wanInBytes, wanOutBytes: 10, diskUsedBytes: 5 };
}

function fresh(): Running {
  return resume(null, null, 1, 3).running;
}

test('energy is the exact sum of µW × ms, carried below a µWh', (t) => {
  const turn = fc.record({ microW: fc.nat(50_000_000), elapsedMs: fc.integer({ min: 1, max: 3000 }) });
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 200 }), (turns) => {
      const running = fresh();
      let nanoJ = 0n;
      for (const { microW, elapsedMs } of turns) {
        addSecond(running, { ...second, microW, elapsedMs });
        nanoJ += BigInt(microW) * BigInt(elapsedMs);
      }
      const counted = BigInt(running.record.energyMicroWh) * 3_600_000n + BigInt(running.restNanoJ);
      t.is(counted, nanoJ);
    }),
  );
});

test('up, down and unknown seconds sum to the uptime, at any rhythm', (t) => {
  const turn = fc.record({ elapsedMs: fc.integer({ min: 1, max: 2500 }), reach: fc.nat(2) });
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 300 }), (turns) => {
      const running = fresh();
      for (const one of turns) addSecond(running, { ...second, ...one });
      const { record } = running;
      t.is(record.upS + record.downS + record.unknownS, record.uptimeS);
      const totalMs = turns.reduce((sum, { elapsedMs }) => sum + elapsedMs, 0);
      t.is(record.uptimeS * 1000 + running.restMs, totalMs);
    }),
  );
});

test('a record has the extremes and the mean of its interval alone', (t) => {
  const running = fresh();
  for (const microW of [4_000_000, 6_000_000, 5_000_000]) addSecond(running, { ...second, microW });
  const first = close(running, 1);
  t.like(first, { firstSeq: 1, lastSeq: 1, minMilliW: 4000, meanMilliW: 5000, maxMilliW: 6000 });
  addSecond(running, { ...second, microW: 7_000_000 });
  const next = close(running, 1);
  t.like(next, { firstSeq: 2, minMilliW: 7000, meanMilliW: 7000, maxMilliW: 7000, uptimeS: 4 });
  t.is(next.calibrationId, 3);
});

test('a second without a reading adds no energy, and says so', (t) => {
  const running = fresh();
  addSecond(running, second);
  addSecond(running, { ...second, microW: -1 });
  t.is(running.record.energyMicroWh, Math.floor(5_000_000 * 1000 / 3_600_000));
  t.is(running.record.flags, FLAG.sensorFault);
  t.is(running.record.uptimeS, 2);
});

test("the node's restarts are bridged: totals only rise", (t) => {
  const running = fresh();
  addProbe(running, true, claim(1, 1000));
  t.is(running.record.wanInBytes, 1000);
  t.is(running.record.flags, 0);
  addProbe(running, true, claim(1, 1700));
  addProbe(running, false, null);
  addProbe(running, true, claim(2, 50));
  t.is(running.record.wanInBytes, 1750);
  t.is(running.record.flags, FLAG.counterReset);
  addProbe(running, true, claim(2, 40));
  t.is(running.record.wanInBytes, 1790);
  t.like(running.record, { probesMade: 5, probesAnswered: 4 });
});

test('a node that counted past its last boot while nobody asked is noticed by its boot id', (t) => {
  const running = fresh();
  addProbe(running, true, claim(1, 1000));
  addProbe(running, true, claim(2, 5000));
  t.is(running.record.wanInBytes, 1000 + 5000);
});

test('whatever a node claims, and however often it restarts, its record can be written', (t) => {
  const amount = fc.oneof(fc.constant(2 ** 51 - 1), fc.maxSafeNat().map((n) => n % 2 ** 51));
  const claims = fc.array(fc.tuple(fc.nat(2), amount, amount, amount), { minLength: 1 });
  fc.assert(fc.property(claims, (list) => {
    const running = fresh();
    const chain = [emptyRecord()];
    for (const [boot, wanInBytes, wanOutBytes, diskUsedBytes] of list) {
      const node = { boot: Buffer.alloc(16, boot), wanInBytes, wanOutBytes, diskUsedBytes };
      addProbe(running, true, node);
      chain.push(close(running, 1));
      const [before, record] = chain.slice(-2);
      t.true(record.wanInBytes >= before.wanInBytes && record.wanOutBytes >= before.wanOutBytes);
      t.notThrows(() => putDelta({ bytes: Buffer.alloc(200), at: 0 }, chain, chain.length - 1));
    }
  }));
});

test('after a power cut the interval cut off is a record, and the next one says why', (t) => {
  const saved = fresh();
  addSecond(saved, { ...second, reach: REACH.up });
  const { running, cutRecord } = resume(saved, null, 2, 3);
  t.like(cutRecord, { firstSeq: 1, bootId: 1, uptimeS: 1, upS: 1 });
  t.like(running.record, { firstSeq: 2, lastSeq: 2, bootId: 2, uptimeS: 0, upS: 1 });
  t.is(running.record.flags, FLAG.powerLost);
  t.is(running.record.energyMicroWh, cutRecord?.energyMicroWh ?? -1);
});

test('a cut between record and counters: the newer of the two counts', (t) => {
  const saved = fresh();
  addSecond(saved, second);
  const older: Running = { ...saved, record: { ...saved.record } };
  addSecond(saved, second);
  const last = close(saved, 1);
  const { running, cutRecord } = resume(older, last, 2, 3);
  t.is(cutRecord, null);
  t.is(running.record.firstSeq, 2);
  t.is(running.record.energyMicroWh, last.energyMicroWh);
});
