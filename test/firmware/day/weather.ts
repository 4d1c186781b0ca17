// What befalls a meter in its machine within a day: what befalls it within a year, more often and
// for shorter times. Each fault comes by chance, lasts, and goes.
import { MOODS } from '../year/commons.ts';
import { MOST_MILLI_W } from '../year/home.ts';
import { wrongClaims } from '../year/weather.ts';
import type { DayWorld } from './world.ts';
import type { DoorLine } from './door.ts';

const { FLAG } = await import('../../../firmware/wire.ts');

/** A record that this boot closes soon after this second must carry the flag. */
export interface Expected {
  what: keyof typeof FLAG;
  bootId: number;
  uptimeS: number;
}

const S = 1000;
const MINUTE = 60 * S;
const HOUR = 60 * MINUTE;
/** Nobody cuts a meter's power before its key has grown: a kit's bench does not. */
const FIRST_MS = 10 * MINUTE;
/** Longer than a record is open, and than a start takes: what a cut may undo is not expected. */
const SETTLED_MS = 20 * MINUTE;
const MOODINESS = 0.3;
const LINES: readonly DoorLine[] = ['refused', 'hung', 'closes', 'dribbles'];

/** Faults until `untilMs`; from then on everything is well, and nobody calls the node. */
export function startWeather(
  world: DayWorld, untilMs: number,
): { came: Record<string, number>; expected: Expected[] } {
  const { meter, home, commons, lan, wan } = world;
  const came: Record<string, number> = {};
  const expected: Expected[] = [];
  let isCalm = false;
  let sensing = true;

  const lasting = (meanMs: number): number =>
    Math.ceil(-Math.log(1 - world.chance()) * meanMs) + S;
  const after = (ms: number, act: () => void): void =>
    world.at(meter.nowMs() + ms, () => isCalm || act());
  const every = (meanMs: number, name: string, come: () => void): void => {
    came[name] = 0;
    const next = (fromMs: number): void => {
      const atMs = fromMs + lasting(meanMs);
      if (atMs >= untilMs) return;
      world.at(atMs, () => {
        came[name]++;
        world.note(`fault ${name}`);
        come();
        next(meter.nowMs());
      });
    };
    next(meter.nowMs() + FIRST_MS);
  };
  /** Unless a cut comes between: what was not kept may then be lost. */
  const expect = (what: Expected['what']): void => {
    const { boot, cuts } = world;
    const uptimeS = Math.floor((meter.nowMs() - boot.startMs) / S);
    world.at(meter.nowMs() + SETTLED_MS, () => {
      if (world.cuts === cuts) expected.push({ what, bootId: boot.id, uptimeS });
    });
  };

  every(3 * HOUR, 'power cut', () => world.cutPower(lasting(10 * MINUTE)));
  every(3 * HOUR, 'power cut at a byte', () => {
    if (!meter.isPowered()) return;
    world.cutAfter(Math.floor(world.chance() * 4_000), lasting(10 * MINUTE));
  });
  for (const line of LINES) {
    every(8 * HOUR, `lan ${line}`, () => {
      lan.set(line);
      after(lasting(2 * MINUTE), () => lan.set('well'));
    });
    every(8 * HOUR, `wan ${line}`, () => {
      wan.set(line);
      after(lasting(20 * MINUTE), () => wan.set('well'));
    });
  }
  for (const mood of MOODS.slice(1)) {
    every(12 * HOUR, `ledger ${mood}`, () => {
      commons.mood = mood;
      after(lasting(40 * MINUTE), () => void (commons.mood = 'well'));
    });
  }
  every(6 * HOUR, 'claims', () => {
    world.claims = wrongClaims(world.chance);
    after(lasting(5 * MINUTE), () => void (world.claims = null));
  });
  every(4 * HOUR, 'node restarts', () => {
    if (!home.isUp()) return;
    home.goDown();
    after(2 * MINUTE + lasting(5 * MINUTE), () => home.isUp() || home.comeUp());
  });
  every(8 * HOUR, 'counters begin anew', () => void (home.isUp() && home.resetCounters()));
  for (const fault of ['gone', 'garbage'] as const) {
    every(5 * HOUR, `sensor ${fault}`, () => {
      if (!sensing || home.overRange || !meter.isPowered()) return;
      sensing = false;
      const beforeMicroWh = meter.truth().energyMicroWh;
      meter.setFault('sensor', fault);
      after(10 * S, () => expect('sensorFault'));
      world.at(meter.nowMs() + 20 * S + lasting(3 * MINUTE), () => {
        sensing = true;
        meter.setFault('sensor', undefined);
        world.hidden.microWh += meter.truth().energyMicroWh - beforeMicroWh;
        // The reading before and the one after speak for up to a second each.
        world.hidden.blurMicroWh += (4 * MOST_MILLI_W * S) / 3600;
      });
    });
  }
  every(5 * HOUR, 'over range', () => {
    if (!sensing || home.overRange || !meter.isPowered()) return;
    home.overRange = true;
    after(10 * S, () => expect('overRange'));
    world.at(meter.nowMs() + 20 * S + lasting(MINUTE), () => void (home.overRange = false));
  });
  every(12 * HOUR, 'the ledger’s clock steps', () => {
    commons.skewMs = commons.skewMs === 0 ? Math.floor((world.chance() - 0.5) * HOUR) : 0;
  });

  commons.moodiness = MOODINESS;
  world.at(untilMs, () => {
    isCalm = true;
    lan.set('well');
    wan.set('well');
    Object.assign(commons, { mood: 'well', moodiness: 0 });
    world.claims = null;
    home.isQuiet = true;
    if (!home.isUp()) home.comeUp();
  });
  return { came, expected };
}
