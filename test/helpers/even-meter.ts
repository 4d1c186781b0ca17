// Meters that draw the same power all the time, for sums that can be done by hand: their entries,
// batches and prices as the projections take them. Nothing is signed.

import { emptyRecord } from '../../firmware/wire.ts';
import type { IntervalRecord } from '../../firmware/wire.ts';
import type { Applied, KitTerms } from '../../ledger/ask/project.ts';
import { startOfDate } from '../../ledger/calendar.ts';
import { signed } from '../ledger/ask/homes.ts';

type Entry = Omit<Applied, 'index'>;

export const at = (iso: string): number => Date.parse(iso) / 1000;

export interface EvenMeter {
  enrolled: Entry;
  /**
   * Records that end at these times, in one batch received then (by default with the last); of the
   * meter's power, or with an energy as given, in µWh.
   */
  batch(ends: (string | [iso: string, energyMicroWh: number])[], received?: string): Entry;
}

export function evenMeter(
  id: string, enrolledIso: string,
  { milliW = 100_000, publish = 1, permille = 1000 }: {
    milliW?: number; publish?: KitTerms['publish']; permille?: number;
  } = {},
): EvenMeter {
  const meterId = new Uint8Array(Buffer.from(id, 'hex'));
  const enrolledS = at(enrolledIso);
  let seq = 0;
  const recordAt = (unixS: number, energyMicroWh?: number): IntervalRecord => {
    seq++;
    const ranS = unixS - enrolledS;
    return {
      ...emptyRecord(), firstSeq: seq, lastSeq: seq, bootId: 1, uptimeS: ranS, unixS, timeState: 2,
      energyMicroWh: energyMicroWh ?? Math.round((milliW * ranS) / 3.6), meanMilliW: milliW, minMilliW: milliW,
      maxMilliW: milliW, upS: ranS, wanInBytes: 1000 * ranS, wanOutBytes: 10 * ranS,
    };
  };
  return {
    enrolled: {
      entry: {
        type: 'kit-enrolled', receivedMs: enrolledS * 1000, meterId,
        enrolmentHash: new Uint8Array(32),
      },
      blob: null,
      kit: {
        publish, assurance: 'virtual', intervalS: 900, supplyEfficiencyPermille: permille,
        calibration: { id: 1 },
      },
    },
    batch(ends, received) {
      const records = ends.map((end) => (
        typeof end === 'string' ? recordAt(at(end)) : recordAt(at(end[0]), end[1])
      ));
      const receivedS = received === undefined ? records.at(-1)!.unixS : at(received);
      return {
        entry: {
          type: 'batch-received', receivedMs: receivedS * 1000, meterId,
          firstSeq: records[0].firstSeq, lastSeq: records.at(-1)!.lastSeq,
          batchHash: new Uint8Array(32),
        },
        blob: signed(meterId, records),
      };
    },
  };
}

export function priceSet(
  received: string, validFrom: string,
  { milliMinorPerKWh = 30_000, currency = 'EUR', zone = 'Europe/Berlin' } = {},
): Entry {
  return {
    entry: { type: 'price-set', receivedMs: at(received) * 1000, priceHash: new Uint8Array(32) },
    blob: null,
    price: {
      hash: new Uint8Array(32), volunteerKey: new Uint8Array(32), currency, milliMinorPerKWh,
      validFrom, zone, fromS: startOfDate(validFrom, zone),
    },
  };
}

/** An entry that says nothing but the time. */
export function tick(received: string): Entry {
  const key = new Uint8Array(32).fill(at(received) % 251);
  return { entry: { type: 'volunteer-admitted', receivedMs: at(received) * 1000, key }, blob: null };
}
