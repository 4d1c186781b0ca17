// Every fault shows as itself: the table of docs/meter.md, walked. Each scene makes one fault happen;
// its flag must come in a record of the time, its words on the screen, and no other fault's; and the
// light must say that there is trouble, or that there is none.
import test from 'ava';
import { readFileSync } from 'node:fs';
import { lineFaults } from '../../provisioner/virtual/line-faults.ts';
import '../helpers/firmware.ts';
import { createLoneMeter, type LoneMeter, type LoneOptions } from '../helpers/lone-meter.ts';

const { SIGN } = await import('../../firmware/light.ts');
const { FLAG } = await import('../../firmware/wire.ts');

interface Row {
  fault: string;
  flag: keyof typeof FLAG | '–';
  words: string;
  light: 'trouble' | 'waiting' | '–';
}

interface Scene {
  /** The world of this fault, if it is there from the start. */
  options?: Partial<LoneOptions>;
  begin?: (meter: LoneMeter) => void;
  end?: (meter: LoneMeter) => void;
  /** The flags that belong to it besides its own. */
  with?: number;
}

const FAULT_FROM_S = 40;
const FAULT_TO_S = 100;
const memory = (kind: 'silent' | 'ones'): Scene => {
  let bad = false;
  const fault = lineFaults(Math.random)[kind];
  return {
    options: { onTransfer: () => (bad ? fault : undefined) },
    begin: () => void (bad = true), end: () => void (bad = false),
  };
};
const sensor = (fault: 'gone' | 'garbage'): Scene => ({
  begin: (meter) => meter.setSensorFault(fault), end: (meter) => meter.setSensorFault(undefined),
});
const line = (how: LoneMeter['node']['line']): Scene => ({
  begin: ({ node }) => void (node.line = how), end: ({ node }) => void (node.line = 'well'),
});
const ledger = (how: 'silence' | 'invalid'): Scene => ({
  begin: (meter) => void (meter.ledger.plan = [how]),
  end: (meter) => void (meter.ledger.plan = ['truth']),
});
const inFault = (atMs: number): boolean => {
  const seconds = (atMs - Date.parse('2027-01-01T00:00:00Z')) / 1000;
  return seconds >= FAULT_FROM_S && seconds < FAULT_TO_S;
};

const SCENES: Record<string, Scene> = {
  'the memory does not answer': memory('silent'),
  'the memory answers wrongly': memory('ones'),
  'hash or signature err': {
    options: { bend: (edge) => ({ ...edge, sha256: () => Buffer.alloc(32) }) },
  },
  'the sensor does not answer': sensor('gone'),
  'another chip, or nonsense, at the sensor\'s place': sensor('garbage'),
  'more power than the sensor can tell': {
    options: { shuntNanoV: (atMs) => (inFault(atMs) ? 90_000_000 : 5_000_000 + (atMs % 900)) },
  },
  'the node\'s port is closed': line('refused'),
  'nobody is at the node\'s address': line('no route'),
  'the node takes the question and says nothing': line('hung'),
  'another answer than 200': {
    begin: ({ node }) => {
      node.instead = Buffer.from('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
    },
    end: ({ node }) => void (node.instead = null),
  },
  'the node restarted': { begin: ({ node }) => void (node.boot = '2'.repeat(32)) },
  'the ledger\'s time is another than the meter\'s': {
    begin: (meter) => meter.stepLedgersClock(600),
  },
  'the power was cut': {
    begin: (meter) => {
      meter.cutPower();
      meter.powerOn();
    },
  },
  'the ledger does not answer, or not authentically': ledger('silence'),
  'the ledger will not have a batch': ledger('invalid'),
};

const rows = tableOf(readFileSync(new URL('../../docs/meter.md', import.meta.url), 'utf8'));
const FAULT_WORDS = new Set(rows.map(({ words }) => words).filter((words) => words !== '–'));

test('the table and the scenes are of the same faults', (t) => {
  t.deepEqual(rows.map(({ fault }) => fault), Object.keys(SCENES));
});

for (const { fault, flag, words, light } of rows) {
  test.serial(`${fault}: ${flag}, ${words}, ${light}`, async (t) => {
    const scene = SCENES[fault];
    const meter = createLoneMeter({ seed: 1, timesS: [5, 20, 3], ...scene.options });
    const seen = new Set<string>();
    const signs = new Set<number | null>();
    const look = async (untilS: number): Promise<void> => {
      while (meter.nowS() < untilS) {
        await meter.run(1);
        if (FAULT_WORDS.has(meter.words())) seen.add(meter.words());
        signs.add(meter.sign());
      }
    };
    meter.powerOn();
    // The first question to a node and the first batch take their time.
    await meter.run(30);
    await look(FAULT_FROM_S);
    if (scene.begin) {
      t.deepEqual([...seen], [], 'before it began');
      t.false(signs.has(SIGN.trouble) || signs.has(SIGN.waiting), 'before it began');
    }
    signs.clear();
    scene.begin?.(meter);
    await look(FAULT_TO_S);
    scene.end?.(meter);
    await meter.run(120);
    t.deepEqual([...seen], words === '–' ? [] : [words]);
    t.is(signs.has(SIGN.trouble), light === 'trouble');
    if (light === 'waiting') t.true(signs.has(SIGN.waiting));
    const { ring } = meter.meter()!;
    const found = (await ring.readFrom(1, 999)).reduce((all, { flags }) => all | flags, 0);
    t.is(found & ~FLAG.merged, flag === '–' ? 0 : FLAG[flag]);
    if (fault === 'hash or signature err') return;
    t.false(FAULT_WORDS.has(meter.words()), 'it is over');
    t.true([SIGN.well, SIGN.reporting].includes(meter.sign()!), 'it is over');
  });
}

function tableOf(page: string): Row[] {
  const [, table] = page.split('| fault | flag | words | light |\n|---|---|---|---|\n');
  return table.split('\n\n')[0].split('\n').map((row) => {
    const [fault, flag, words, light] = row.split('|').slice(1, 5).map((cell) => cell.trim());
    return { fault, flag: flag as Row['flag'], words, light: light as Row['light'] };
  });
}
