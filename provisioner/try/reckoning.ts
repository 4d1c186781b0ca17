// Holds what the ledger says against the truth: energy against the chip's own integral, traffic
// against what the node served. The node's lead is pulled out of the meter for the moment, so that
// energy stands still while the last of it is reported.

import { KitError } from '../errors.ts';
import { BUSY_MILLI_W, IDLE_MILLI_W } from './load.ts';
import type { TrialLedger } from './ledger.ts';
import type { MeterRecord, TrialMeter } from './meter.ts';
import type { TrialNode } from './node.ts';
import type { Traffic } from './served.ts';
import type { Trial } from './trial.ts';
import { until } from './wait.ts';

export interface Reckoning {
  /** Seconds since the meter's first start that it knows of: up, down and unknown. */
  meterS: number;
  ledgerMicroWh: number;
  /** On the meter's clock: without what was lost to cuts. */
  chipMicroWh: number;
  /** (ledger − chip) / chip. */
  differencePpm: number;
  /** What each cut so far cost. */
  lostMicroWh: number[];
  /** As the ledger has it, and as the node served it. */
  ledgerTraffic: Traffic;
  servedTraffic: Traffic;
}

interface Parts {
  node: TrialNode;
  ledger: TrialLedger;
  meter: TrialMeter;
}

const TOLERANCE = 1e-4;
/** Two seconds at full power. */
const MOST_PER_CUT_MICRO_WH = ((IDLE_MILLI_W + BUSY_MILLI_W) * 1000 * 2) / 3600;
const LIMIT_MS = 120_000;

/** @throws KitError `does-not-add-up` with both sides */
export async function reckon(
  trial: Trial,
  { node, meter }: Parts,
  say: (text: string) => void,
): Promise<Reckoning> {
  say('adding up');
  node.load.unplug();
  try {
    await meter.standStill();
    let last: Reckoning | undefined;
    return await until({
      what: 'energy and traffic to add up',
      withinMs: LIMIT_MS,
      everyMs: 1500,
      signal: trial.signal,
      async check() {
        meter.press();
        const record = await meter.lastRecord();
        if (record === undefined) return undefined;
        last = compare(record, meter);
        return addsUp(last) ? last : undefined;
      },
      instead: () => JSON.stringify(last),
    });
  } catch (error) {
    if (!(error instanceof KitError)) throw error;
    throw new KitError({
      code: 'does-not-add-up',
      message: 'What the ledger holds is not what was measured and served',
      got: error.got,
      cause: error,
    });
  } finally {
    node.load.plugIn();
  }
}

function compare(record: MeterRecord, meter: TrialMeter): Reckoning {
  const chipMicroWh = meter.chipMicroWh();
  const { wanInBytes, wanOutBytes } = record;
  const served = meter.served.totals();
  // A probe may have come between the record and now: the record's is the newest that fits.
  const match = served.findLast((t) => t.wanInBytes === wanInBytes && t.wanOutBytes === wanOutBytes);
  return {
    meterS: record.upS + record.downS + record.unknownS,
    ledgerMicroWh: record.energyMicroWh,
    chipMicroWh,
    differencePpm: Math.round(((record.energyMicroWh - chipMicroWh) / chipMicroWh) * 1e6),
    lostMicroWh: meter.lostMicroWh(),
    ledgerTraffic: { wanInBytes, wanOutBytes },
    servedTraffic: match ?? served.at(-1) ?? { wanInBytes: 0, wanOutBytes: 0 },
  };
}

function addsUp(sum: Reckoning): boolean {
  const { ledgerTraffic, servedTraffic } = sum;
  // The window of the last reading (0.94 s) straddles the moment at which the lead was pulled.
  const aSecondMicroWh = sum.chipMicroWh / sum.meterS;
  const allowedMicroWh = sum.chipMicroWh * TOLERANCE + aSecondMicroWh;
  return (
    Math.abs(sum.ledgerMicroWh - sum.chipMicroWh) <= allowedMicroWh &&
    sum.lostMicroWh.every((lost) => lost <= MOST_PER_CUT_MICRO_WH) &&
    ledgerTraffic.wanInBytes === servedTraffic.wanInBytes &&
    ledgerTraffic.wanOutBytes === servedTraffic.wanOutBytes
  );
}
