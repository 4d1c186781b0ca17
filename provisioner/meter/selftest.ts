// Is this board fit to be a meter? Asks the running meter over its USB lead what can be seen from
// there, and says for each thing that is not well what to do. Changes nothing on the board but how
// often it has started.

import { KitError } from '../errors.ts';
import type { UsbPort } from './usb-port.ts';

export interface SelftestFinding {
  check: 'program' | 'memory' | 'memory keeps' | 'no faults';
  ok: boolean;
  /** What was found. */
  words: string;
  /** What to do, where it is not well. */
  advice?: string;
}

export interface SelftestOptions {
  /** SHA-256 of what was written, 64 hexadecimal digits. */
  firmware: string;
  /** How long a start may take until the journal is open. */
  bootLimitMs: number;
  /** How long to listen for faults afterwards. */
  listenMs: number;
}

/** What only eyes and fingers find out. */
export const BY_EYE = [
  'the screen shows text, and watts when the node is on',
  'the button turns the screen’s pages',
  'the light blinks quickly at each start, then slowly until the meter is paired',
];

const DEVICE_SCRIPT_MANAGER = 0x1134ea2b;
const REGISTER_PROGRAM_SHA256 = 0x182;

export async function selftest(port: UsbPort, options: SelftestOptions): Promise<SelftestFinding[]> {
  const faults: string[] = [];
  const stop = port.onLine((line) => /^fault /.test(line) && faults.push(line));
  try {
    const program = await checkProgram(port, options.firmware);
    const first = await bootOf(port, options.bootLimitMs);
    if (first === undefined) return [program, silentMemory(options.bootLimitMs)];
    const memory = { check: 'memory', ok: true, words: `answers; start ${first}` } as const;
    const second = await bootOf(port, options.bootLimitMs);
    await new Promise((resolve) => setTimeout(resolve, options.listenMs));
    return [program, memory, keepingMemory(first, second), faultless(faults)];
  } finally {
    stop();
  }
}

async function checkProgram(port: UsbPort, firmware: string): Promise<SelftestFinding> {
  const bytes = await port.readRegister(DEVICE_SCRIPT_MANAGER, REGISTER_PROGRAM_SHA256);
  const got = Buffer.from(bytes).toString('hex');
  if (got === firmware) return { check: 'program', ok: true, words: got };
  const words = `runs ${got}, not ${firmware}`;
  return { check: 'program', ok: false, words, advice: 'Write it anew: kit meter flash' };
}

/** Its line may come before the bridge has woken, and is lost then: another start tells. */
const ATTEMPTS = 3;

/** Restarts the meter. @returns the number that it prints, or undefined when it does not */
async function bootOf(port: UsbPort, limitMs: number): Promise<number | undefined> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const number = await oneBootOf(port, limitMs / ATTEMPTS);
    if (number !== undefined) return number;
  }
  return undefined;
}

async function oneBootOf(port: UsbPort, limitMs: number): Promise<number | undefined> {
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  const timer = setTimeout(() => resolve(undefined), limitMs);
  const stop = port.onLine((line) => {
    const [, number] = /^boot (\d+)$/.exec(line) ?? [];
    if (number !== undefined) resolve(Number(number));
  });
  try {
    await port.restart();
    return await promise;
  } finally {
    clearTimeout(timer);
    stop();
  }
}

function silentMemory(limitMs: number): SelftestFinding {
  return {
    ...{ check: 'memory', ok: false },
    words: `the journal did not open within ${limitMs / 1000} s`,
    advice:
      'The FRAM at 0x50 does not answer: look at its 3.3 V, ground, SDA and SCL against the wiring; SDA and SCL swapped is usual.',
  };
}

function keepingMemory(first: number, second: number | undefined): SelftestFinding {
  const check = 'memory keeps';
  if (second !== undefined && second > first) return { check, ok: true, words: `start ${second} follows ${first}` };
  const words = `after start ${first} came ${second ?? 'none'}`;
  return { check, ok: false, words, advice: 'The FRAM forgets or is write-protected: its WP to ground.' };
}

function faultless(faults: string[]): SelftestFinding {
  const check = 'no faults';
  if (faults.length === 0) return { check, ok: true, words: 'none told' };
  return { check, ok: false, words: faults.join('; '), advice: 'The part that is named: its wires.' };
}

export function unfit(kit: string, findings: SelftestFinding[]): KitError {
  const bad = findings.filter(({ ok }) => !ok);
  return new KitError({
    code: 'selftest-failed',
    message: `The meter of ${kit} is not fit`,
    expected: `${findings.length} checks that hold`,
    got: bad.map(({ check, words }) => `${check}: ${words}`).join('; '),
    hint: bad.map(({ advice }) => advice).join(' '),
  });
}
