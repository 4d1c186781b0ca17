// Lives of a meter whose memory's line is bad for a while: it starts on an empty memory, is enrolled,
// reports, loses its power, starts again and reports. At the end the line is well, and the whole
// state is held against what must be true of any life.
import { lineFaults, type LineFaultName } from '../../provisioner/virtual/line-faults.ts';
import { chance } from '../ledger/ask/homes.ts';
import { createLoneMeter, type LoneMeter } from './lone-meter.ts';

const { FLAG } = await import('../../firmware/wire.ts');

export interface BadLine {
  kind: LineFaultName;
  /** Whether the line is bad at this transfer, at this second. */
  isBad: (transfer: number, atS: number) => boolean;
  seed: number;
}

export interface Life {
  meter: LoneMeter;
  /** Transfers that the fault met. */
  met: number;
  /** What must not be; empty is good. */
  problems: string[];
  /** Each different last line of the screen, in order. */
  words: string[];
}

export const CUT_AT_S = 18;
const DARK_S = 1;
const SECOND_S = 14;
/** When the line is well again for good; then it has time to recover and to report. */
export const WELL_AT_S = CUT_AT_S + DARK_S + SECOND_S;
const CALM_S = 60;
/** The load is at most 800 mA at 5.1 V. */
const MICRO_WH_A_SECOND = 4_080 / 3.6;

export async function liveWith({ kind, isBad, seed }: BadLine, grows = false): Promise<Life> {
  const fault = lineFaults(chance(seed))[kind];
  let met = 0;
  const meter = createLoneMeter({
    seed, grows,
    onTransfer: (transfer) => {
      const atS = meter.nowS();
      if (atS >= WELL_AT_S || !isBad(transfer, atS)) return undefined;
      met++;
      return fault;
    },
  });
  const words: string[] = [];
  /** What an exact meter had counted when the memory last took the counters. */
  let keptMicroWh = 0;
  const look = async (seconds: number): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      await meter.run(1);
      if (words.at(-1) !== meter.words()) words.push(meter.words());
      if (meter.meter()?.fram.trouble === '') keptMicroWh = meter.truthMicroWh();
    }
  };
  meter.powerOn();
  await look(CUT_AT_S);
  const allowed =
    meter.truthMicroWh() - keptMicroWh + 2 * MICRO_WH_A_SECOND + blindMicroWh(meter);
  meter.cutPower();
  await meter.run(DARK_S);
  meter.powerOn();
  await look(SECOND_S);
  await meter.run(CALM_S);
  return { meter, met, words, problems: [...meter.problems, ...auditLife(meter, allowed)] };
}

/** @param cutMicroWh what the power cut may have cost */
function auditLife(meter: LoneMeter, cutMicroWh: number): string[] {
  const problems: string[] = [];
  const amiss = (what: string): void => void problems.push(what);
  const { ledger } = meter;
  const opened = meter.meter();
  if (opened === null) return ['the memory was never opened'];
  for (const { answer, signature } of ledger.posted) {
    if (!['accepted', 'repeated'].includes(answer)) amiss(`a batch by ${signature} is ${answer}`);
  }
  if (ledger.gaps > 0) amiss(`${ledger.gaps} gaps`);
  let next = 1;
  for (const record of ledger.records) {
    if (record.firstSeq !== next) amiss(`record ${record.firstSeq} follows ${next - 1}`);
    next = record.lastSeq + 1;
  }
  const { record } = opened.running;
  if (opened.ring.lastSeq < record.firstSeq - 1 - opened.unsaved.length) amiss('a record is missing');
  const last = ledger.records.at(-1);
  if (last === undefined) return [...problems, 'nothing was reported'];
  if (record.firstSeq - last.lastSeq > 4) amiss(`reports end at ${last.lastSeq}`);
  const truth = meter.truthMicroWh();
  const most = truth + truth / 10_000;
  const least = truth - cutMicroWh - blindMicroWh(meter) - 3 * MICRO_WH_A_SECOND;
  const { energyMicroWh } = record;
  if (energyMicroWh > most || energyMicroWh < least) {
    amiss(`energy ${energyMicroWh}, expected ${Math.round(least)} to ${Math.round(most)}`);
  }
  if (opened.fram.trouble !== '') amiss(`still “${opened.fram.trouble}”`);
  return problems;
}

/** No reading is taken before the memory was opened. */
function blindMicroWh(meter: LoneMeter): number {
  return ((meter.meter()?.blindUntilMs ?? 0) / 1000) * MICRO_WH_A_SECOND;
}

/** Whether a record tells of trouble with the memory. */
export function isFlagged({ ledger }: LoneMeter): boolean {
  return ledger.records.some(({ flags }) => Math.floor(flags / FLAG.memoryFault) % 2 === 1);
}
