// What befalls a simulated meter: power cuts (at a byte of a write, or at a moment), networks that
// fail in every way, a ledger in every mood, nodes that restart, clocks that step, a sensor that is
// gone, talks nonsense or is driven past its range, a node that moves, a router that is replaced. Each comes by chance, lasts, and goes; what it
// must have left in the records' flags and on the screen is expected aloud.
import type { Meter } from '../../../firmware/meter.ts';
import { ADDRESS } from '../../../provisioner/virtual/meter.ts';
import { MOODS } from './commons.ts';
import { MOST_MILLI_W } from './home.ts';
import { httpResponse, LINES } from './network.ts';
import type { Life } from './timeline.ts';
import type { World } from './world.ts';

const { FLAG } = await import('../../../firmware/wire.ts');
const { faceOf } = await import('../../../firmware/meter.ts');
const { wordsOf } = await import('../../../firmware/screen.ts');

/** One of these records must carry the flag. */
export interface Expected {
  what: keyof typeof FLAG;
  firstSeq: number;
  lastSeq: number;
}

export interface Weather {
  expected: Expected[];
  /** How often each fault came. */
  came: Record<string, number>;
}

const S = 1000;
const MINUTE = 60 * S;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Readings come once a second: after so long a fault is in the counters that are kept. */
const NOTICED_MS = 4 * S;
/** After ten minutes without an address, which is looked for twice a minute, the other network is named. */
const JOINED_MS = 11 * MINUTE;
/** Nobody cuts a meter's power before its key has grown: a kit's bench does not. */
const FIRST_MS = 10 * MINUTE;
/** There are few posts in a day: most moods of a ledger would meet none. */
const MOODINESS = 0.4;

interface Fault {
  name: string;
  /** Mean time between two. */
  everyMs: number;
  come(): void;
}

/** Faults until `untilMs`; from then on everything is well. */
export function startWeather(world: World, untilMs: number): Weather {
  const weather: Weather = { expected: [], came: {} };
  const faults = [
    ...powerFaults(world), ...lineFaults(world), ...nodeFaults(world, weather),
    ...sensorFaults(world, weather), ...clockFaults(world, weather), ...placeFaults(world, weather),
  ];
  for (const fault of faults) {
    weather.came[fault.name] = 0;
    const next = (fromMs: number): void => {
      const atMs = fromMs - Math.log(1 - world.chance()) * fault.everyMs;
      if (atMs >= untilMs) return;
      world.timeline.at(Math.ceil(atMs), () => {
        world.note(`fault ${fault.name}`);
        weather.came[fault.name]++;
        fault.come();
        next(world.timeline.nowMs());
      });
    };
    next(world.timeline.nowMs() + FIRST_MS);
  }
  world.commons.moodiness = MOODINESS;
  expectPowerLost(world, weather);
  world.timeline.at(untilMs, () => calm(world));
  return weather;
}

/** Once it is calm, what an earlier fault still had in store does not come. */
function later(world: World, afterMs: number, change: () => void): void {
  world.timeline.at(world.timeline.nowMs() + afterMs, () => {
    if (!world.isCalm) change();
  });
}

function calm(world: World): void {
  world.isCalm = true;
  world.note('calm');
  Object.assign(world.lines, { lan: 'well', wan: 'well' });
  Object.assign(world.commons, { mood: 'well', moodiness: 0 });
  world.claims = null;
  world.place.settle();
  world.fram.cutAfter(undefined, () => {});
  if (!world.home.isUp()) world.home.comeUp();
  world.powerOn();
}

function powerFaults(world: World): Fault[] {
  const cutSoon = (): void => {
    if (world.life === null) return;
    // Its meter writes 220 bytes a second, and more when a record is closed or a batch is made.
    world.cutAfter(Math.floor(world.chance() * 4_000));
    later(world, MINUTE + lasting(world, HOUR), () => {
      world.cutPower();
      later(world, lasting(world, HOUR), () => world.powerOn());
    });
  };
  return [
    { name: 'power cut at a byte', everyMs: 2 * DAY, come: cutSoon },
    {
      name: 'power cut', everyMs: 3 * DAY, come: () => {
        world.cutPower();
        later(world, lasting(world, HOUR), () => world.powerOn());
      },
    },
    {
      name: 'power flickers', everyMs: 9 * DAY, come: () => {
        for (let i = 1; i < 12; i++) {
          const afterMs = i * (S + Math.floor(world.chance() * 5 * S));
          later(world, afterMs, () => (i % 2 ? world.cutPower() : world.powerOn()));
        }
        later(world, 2 * MINUTE, () => world.powerOn());
      },
    },
  ];
}

function lineFaults(world: World): Fault[] {
  const { lines, commons } = world;
  const spell = (
    name: string, everyMs: number, meanMs: number, begin: () => void, end: () => void,
  ): Fault => ({
    name, everyMs, come: () => {
      begin();
      later(world, lasting(world, meanMs), end);
    },
  });
  const well = (which: 'lan' | 'wan') => () => void (lines[which] = 'well');
  return [
    ...LINES.slice(1).flatMap((line) => [
      spell(`lan ${line}`, 12 * DAY, 20 * MINUTE, () => void (lines.lan = line), well('lan')),
      spell(`wan ${line}`, 8 * DAY, 3 * HOUR, () => void (lines.wan = line), well('wan')),
    ]),
    spell('outage', 60 * DAY, 3 * DAY, () => void (lines.wan = 'no route'), well('wan')),
    ...MOODS.slice(1).map((mood) => spell(
      `ledger ${mood}`, 10 * DAY, 2 * HOUR,
      () => void (commons.mood = mood), () => void (commons.mood = 'well'),
    )),
    spell(
      'claims', 5 * DAY, 10 * MINUTE,
      () => void (world.claims = wrongClaims(world.chance)), () => void (world.claims = null),
    ),
  ];
}

function nodeFaults(world: World, weather: Weather): Fault[] {
  const { timeline, home } = world;
  let resetUnseen = false;
  world.onHeard = () => {
    if (!resetUnseen) return;
    const { meter, life } = world;
    const firstSeq = meter!.running.record.firstSeq;
    timeline.at(timeline.nowMs() + NOTICED_MS, () => {
      if (!isSame(world, life, meter) || !resetUnseen) return;
      resetUnseen = false;
      weather.expected.push({ what: 'counterReset', firstSeq, lastSeq: firstSeq });
    });
  };
  const down = (meanMs: number) => (): void => {
    if (!home.isUp()) return;
    const downMs = 40 * S + lasting(world, meanMs);
    home.goDown();
    if (downMs > MINUTE) seeOnScreen(world, 'node does not answer', MINUTE, () => !home.isUp());
    later(world, downMs, () => {
      if (home.isUp()) return;
      const known = home.truth().atMost.inBytes > 0;
      home.comeUp();
      resetUnseen = known;
    });
  };
  return [
    { name: 'node restarts', everyMs: 6 * DAY, come: down(MINUTE) },
    { name: 'node down', everyMs: 20 * DAY, come: down(5 * HOUR) },
    {
      name: 'counters begin anew', everyMs: 15 * DAY, come: () => {
        if (home.isUp() && home.resetCounters()) resetUnseen = true;
      },
    },
  ];
}

function sensorFaults(world: World, weather: Weather): Fault[] {
  const { timeline, chips, home, allowed } = world;
  const second = (MOST_MILLI_W * 1000) / 3600;
  let faulty = false;
  const spell = (fault: 'gone' | 'garbage') => (): void => {
    if (faulty || home.overRange) return;
    faulty = true;
    const beforeMicroWh = world.truthMicroWh();
    chips.setFault(ADDRESS.sensor, fault);
    expectSoon(world, weather, 'sensorFault', () => faulty);
    seeOnScreen(world, 'no power reading', NOTICED_MS, () => faulty);
    timeline.at(timeline.nowMs() + 6 * S + lasting(world, 5 * MINUTE), () => {
      faulty = false;
      chips.setFault(ADDRESS.sensor, undefined);
      allowed.hiddenMicroWh += world.truthMicroWh() - beforeMicroWh;
      // The reading before and the one after speak for up to a second each.
      allowed.lostMicroWh += 2 * second;
    });
  };
  return [
    { name: 'sensor gone', everyMs: 15 * DAY, come: spell('gone') },
    { name: 'sensor talks nonsense', everyMs: 15 * DAY, come: spell('garbage') },
    {
      name: 'over range', everyMs: 15 * DAY, come: () => {
        if (home.overRange || faulty) return;
        home.overRange = true;
        expectSoon(world, weather, 'overRange', () => home.overRange);
        seeOnScreen(world, 'power over range', NOTICED_MS, () => home.overRange && !faulty);
        timeline.at(timeline.nowMs() + 6 * S + lasting(world, 2 * MINUTE), () => {
          home.overRange = false;
        });
      },
    },
  ];
}

function clockFaults(world: World, weather: Weather): Fault[] {
  const { commons, timeline } = world;
  let pending: { life: Life; meter: Meter } | null = null;
  world.onLine = (line) => {
    const { meter, life } = world;
    // Every authentic reply tells the time, a refusal too.
    const replied = line.startsWith('accepted') || line.startsWith('unsent');
    if (pending === null || meter === null || life === null || !replied) return;
    const ledgerS = Math.floor((timeline.nowMs() + commons.skewMs) / 1000);
    if (!isSame(world, pending.life, pending.meter)) pending = null;
    else if (Math.abs(meter.clock.unixS() - ledgerS) <= 2) {
      pending = null;
      expectSoon(world, weather, 'clockStep', () => true);
    }
  };
  return [
    {
      name: 'the ledger’s clock steps', everyMs: 30 * DAY, come: () => {
        const { meter, life } = world;
        commons.skewMs = commons.skewMs === 0 ? Math.floor((world.chance() - 0.5) * 2 * HOUR) : 0;
        const ledgerS = Math.floor((timeline.nowMs() + commons.skewMs) / 1000);
        const steps = meter !== null && meter.clock.state() > 0
          && Math.abs(meter.clock.unixS() - ledgerS) > 5;
        pending = steps && life !== null ? { life, meter } : null;
      },
    },
  ];
}

/** The node gets another address and its name leads nowhere; or all of the network is another. */
function placeFaults(world: World, weather: Weather): Fault[] {
  const { place, timeline } = world;
  world.onFound = () => {
    const { meter, life } = world;
    const firstSeq = meter!.running.record.firstSeq;
    world.note('found');
    timeline.at(timeline.nowMs() + NOTICED_MS, () => {
      if (!isSame(world, life, meter)) return;
      weather.expected.push({ what: 'nodeMoved', firstSeq, lastSeq: meter!.running.record.firstSeq });
    });
  };
  const loseName = (meanMs: number): void => {
    place.nameLeads = false;
    later(world, lasting(world, meanMs), () => void (place.nameLeads = true));
  };
  return [
    {
      name: 'node moves', everyMs: 12 * DAY, come: () => {
        place.move(world.chance);
        loseName(2 * DAY);
      },
    },
    { name: 'name leads nowhere', everyMs: 20 * DAY, come: () => loseName(6 * HOUR) },
    {
      name: 'another router', everyMs: 30 * DAY, come: () => {
        const wasThere = place.isConnected() && timeline.nowMs() - place.changedMs > MINUTE;
        const number = place.replaceRouter();
        place.move(world.chance);
        if (world.chance() < 0.5) loseName(DAY);
        const { life, meter } = world;
        timeline.at(timeline.nowMs() + JOINED_MS, () => {
          const isSole = wasThere && isSame(world, life, meter) && place.hasRouter(number);
          if (isSole && !place.isNamed(number)) world.amiss('the meter has not named the other network');
        });
      },
    },
    {
      name: 'no Wi-Fi', everyMs: 15 * DAY, come: () => {
        place.switchRouter(false);
        later(world, lasting(world, 30 * MINUTE), () => place.switchRouter(true));
      },
    },
  ];
}

/** Every start after the first says that power was lost. */
function expectPowerLost(world: World, weather: Weather): void {
  const look = (life: Life | null): void => {
    if (world.life !== life && world.life !== null && world.counts.boots > 1) {
      expectSoon(world, weather, 'powerLost', () => true);
    }
    const now = world.life;
    world.timeline.at(world.timeline.nowMs() + S, () => look(now));
  };
  look(world.life);
}

function expectSoon(
  world: World, weather: Weather, what: Expected['what'], lasts: () => boolean,
): void {
  const { life, timeline } = world;
  timeline.at(timeline.nowMs() + NOTICED_MS, () => {
    const { meter } = world;
    if (!isSame(world, life, meter) || !lasts()) return;
    const lastSeq = meter!.running.record.firstSeq;
    weather.expected.push({ what, firstSeq: lastSeq - 1, lastSeq });
  });
}

/** What the screen's last line says while nothing else is wrong. */
function seeOnScreen(world: World, words: string, afterMs: number, lasts: () => boolean): void {
  const { life, timeline } = world;
  timeline.at(timeline.nowMs() + afterMs, () => {
    const { meter, lines, commons } = world;
    const alone = lines.lan === 'well' && lines.wan === 'well' && commons.mood === 'well'
      && world.claims === null && meter !== null && world.place.isKnownAt(meter.place);
    if (!isSame(world, life, meter) || !lasts() || !alone || meter!.notice !== '') return;
    const seen = wordsOf(faceOf(meter!));
    if (seen !== words) world.amiss(`the screen says “${seen}” for “${words}”`);
  });
}

function isSame(world: World, life: Life | null, meter: Meter | null): boolean {
  return life !== null && world.life === life && meter !== null && world.meter === meter
    && meter.running.record.uptimeS > 0;
}

/** Around `meanMs`: from next to nothing to a few times as long. */
function lasting(world: World, meanMs: number): number {
  return Math.ceil(-Math.log(1 - world.chance()) * meanMs) + 1;
}

/** Answers that are no node's counters. */
export function wrongClaims(chance: () => number): Buffer {
  const counters = (change: object): string => JSON.stringify({
    v: 1, boot: '0'.repeat(32), wan_in_bytes: 1, wan_out_bytes: 1, disk_used_bytes: 1, ...change,
  });
  const bodies = [
    '', '{}', 'null', '[]', '<html>', counters({ v: 2 }), counters({ boot: 'xyz' }),
    counters({ wan_in_bytes: -1 }), counters({ wan_out_bytes: 1.5 }), counters({ wan_in_bytes: '7' }),
    counters({ wan_in_bytes: 2 ** 51 }), counters({ disk_used_bytes: null }),
    counters({ more: { deep: [1] } }), counters({}).slice(0, -1), `${counters({})}x`,
    counters({}).replace('"wan_in_bytes":1', '"wan_in_bytes":1e9'), '{"v":1,'.repeat(99),
    ' '.repeat(1_000),
  ];
  const body = Buffer.from(bodies[Math.floor(chance() * bodies.length)]);
  const statuses = [200, 200, 200, 404, 500];
  return httpResponse(statuses[Math.floor(chance() * statuses.length)], body);
}
