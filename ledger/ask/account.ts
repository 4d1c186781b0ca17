// A meter's account: what each month amounts to, and what it costs, as the log knew them when the
// month closed. What comes later is told as **late** with the next open month, so that nobody's
// closed month ever changes. Pure; whole numbers throughout.
//
//     counters at ──┬── start of the month ──┬── end of the month ──
//                   │                        │
//     told before ──┤ late: known since      │
//                   └─────────── own ────────┘       the bill = own + late
//
// Costs are differences of roundings: what all energy up to a moment costs, rounded half up, less
// what was billed before. So bills sum to the rounded cost of the whole, and no cent is lost.

import { minorOf, weigh } from '../tariff.ts';
import type { Tariff } from '../tariff.ts';
import { COUNTERS, reachIn, riseBetween, zeros } from './curve.ts';
import type { Counters } from './curve.ts';

/** What the bills before have told. Counters are the account's own: zero where it begins. */
export interface Account {
  told: Counters;
  toldMinor: number;
  /** The last moment before which nothing can change any more, if there is one. */
  settled: { atS: number; counters: Counters; weighed: bigint } | null;
}

export interface Bill {
  /** How long the node had its account in the month; up, down and unknown sum to it. */
  wallS: number;
  upS: number;
  downS: number;
  unknownS: number;
  /** Null where no record tells anything of the month: nothing is not zero. */
  energyMicroWh: number | null;
  wanInBytes: number | null;
  wanOutBytes: number | null;
  /** Of earlier months, and not known when they closed: so much less of them is unknown. */
  late: Late;
  /** Of own and late energy; null where nothing is known, or no price holds yet. */
  costMinor: number | null;
  /** The late energy's part of it. */
  lateMinor: number;
}

export type Late = Pick<
  Counters, 'upS' | 'downS' | 'energyMicroWh' | 'wanInBytes' | 'wanOutBytes'
>;

export interface Terms {
  tariff: Tariff;
  efficiencyPermille: number;
}

export interface Curve {
  /** When the account begins. */
  lifeS: number;
  /** No later record can change the curve up to then; null while there is no such moment. */
  finalS(): number | null;
  /** Whole counters of the account at a moment from `lifeS` on. */
  at(atS: number): Counters;
}

export function openAccount(): Account {
  return { told: zeros(), toldMinor: 0, settled: null };
}

/** What bills are reckoned from. */
export interface Basis {
  curve: Curve;
  terms: Terms;
}

/** The bill of a month, and what the account has told with it. */
export function billOf(
  account: Account, { startS, endS }: { startS: number; endS: number }, basis: Basis,
): { bill: Bill; told: Pick<Account, 'told' | 'toldMinor'> } {
  const { at, weighedAt } = since(account, basis);
  const { curve: { lifeS }, terms } = basis;
  const [fromS, toS] = [Math.max(startS, lifeS), Math.max(endS, lifeS)];
  const [atStart, atEnd] = [at(fromS), at(toS)];
  const [startMinor, endMinor] = [fromS, toS]
    .map((atS) => minorOf(weighedAt(atS), terms.efficiencyPermille));
  const [late, own] = [riseBetween(account.told, atStart), riseBetween(atStart, atEnd)];
  const [isLate, isSeen] = [late, own].map((rise) => COUNTERS.some((name) => rise[name] !== 0));
  const isPriced = terms.tariff.length > 0 && terms.tariff[0].fromS < toS;
  const wallS = toS - fromS;
  const { upS, downS } = reachIn(own, wallS);
  return {
    bill: {
      wallS, upS, downS, unknownS: wallS - upS - downS,
      energyMicroWh: isSeen ? own.energyMicroWh : null,
      wanInBytes: isSeen ? own.wanInBytes : null,
      wanOutBytes: isSeen ? own.wanOutBytes : null,
      late: {
        upS: late.upS, downS: late.downS, energyMicroWh: late.energyMicroWh,
        wanInBytes: late.wanInBytes, wanOutBytes: late.wanOutBytes,
      },
      costMinor: (isSeen || isLate) && isPriced ? endMinor - account.toldMinor : null,
      lateMinor: startMinor - account.toldMinor,
    },
    told: { told: atEnd, toldMinor: endMinor },
  };
}

/** How far the account is settled once a month that ends then is told. */
export function settledBy(account: Account, endS: number, basis: Basis): Account['settled'] {
  const { lifeS } = basis.curve;
  const finalS = basis.curve.finalS();
  if (finalS === null) return account.settled;
  const atS = Math.min(Math.max(endS, lifeS), finalS);
  if (atS <= (account.settled?.atS ?? lifeS)) return account.settled;
  const { at, weighedAt } = since(account, basis);
  return { atS, counters: at(atS), weighed: weighedAt(atS) };
}

/** Counters and weighed energy at a moment, from where the account is settled. */
function since({ settled }: Account, { curve, terms }: Basis): {
  at(atS: number): Counters;
  weighedAt(atS: number): bigint;
} {
  const at = (atS: number): Counters => (
    atS === settled?.atS ? settled.counters : curve.at(atS)
  );
  const energyAt = (atS: number): number => at(atS).energyMicroWh;
  const from = settled ?? { atS: curve.lifeS, weighed: 0n };
  return {
    at,
    weighedAt: (toS) => (
      from.weighed + weigh(terms.tariff, { fromS: from.atS, toS }, energyAt)
    ),
  };
}
