// The meter's light: what an owner learns from across the room, where no screen can be read. It says
// that there is something, never what: the screen has the words.
//
// Owns the signs and their rhythms. It lights nothing (main.ts does): it is told what it has to say.

/** Told apart by rhythm alone: there is one light, and not every eye knows its colour. */
export const SIGN = { trouble: 0, waiting: 1, reporting: 2, well: 3 }

/**
 * A rhythm goes in steps of this length. The quickest blinks every other step, 2.5 times a second:
 * three flashes in a second can harm (WCAG 2.2, 2.3.1).
 */
export const STEP_MS = 200

/** All rhythms begin anew after so many steps. */
export const CYCLE_STEPS = 50

/** Steps lit, then steps dark, by sign. None is dark for good: that is a meter without power. */
const RHYTHM = [
  [1, 1],
  [5, 5],
  [1, 0],
  [1, 24],
]

/** Of what the screen shows, what the light goes by. */
export interface Seen {
  /** 0 unknown, 1 up, 2 down. */
  reach: number
  /** Since the last acknowledgement; -1 if there was none. */
  ackedAgoS: number
  notice: string
  fault: boolean
}

/** Trouble is what the creature worries about; well is what the screen calls `ledger ok`. */
export function signOf(seen: Seen, reporting: boolean): number {
  if (seen.fault || seen.reach === 2) return SIGN.trouble
  if (reporting) return SIGN.reporting
  if (seen.notice.length > 0 || seen.reach === 0 || seen.ackedAgoS < 0) return SIGN.waiting
  return SIGN.well
}

/** @param step counted up to `CYCLE_STEPS` */
export function isLit(sign: number, step: number): boolean {
  const rhythm = RHYTHM[sign]
  return step % (rhythm[0] + rhythm[1]) < rhythm[0]
}
