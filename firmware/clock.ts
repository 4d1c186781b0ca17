// The meter's wall clock. It has no battery: time comes with authenticated replies of the ledger
// alone, and only if they came quickly enough to be worth believing.
//
// Owns the offset between the time since boot and Unix time. It never reads the network.

/** As in an interval record's timeState. */
export const TIME = { unknown: 0, set: 1, synchronised: 2 }

/** A reply that took longer says too little about now. */
const MAX_ROUND_TRIP_MS = 10000
/** Replies tell whole seconds: a smaller difference is no news. */
const TOLERANCE_MS = 2000
/** At 20 ppm the clock has drifted by three seconds then. */
const SYNCHRONISED_MS = 36 * 3600 * 1000

export class Clock {
  private millis: () => number
  private floorUnixS: number
  private offsetMs: number
  private known = false
  private setAtMs = 0

  /** `floorUnixS` is the latest time known from before this boot: time is never told below it. */
  constructor(millis: () => number, floorUnixS: number) {
    this.millis = millis
    this.floorUnixS = floorUnixS
    this.offsetMs = floorUnixS * 1000 - millis()
  }

  unixS(): number {
    return Math.max(0, Math.floor((this.millis() + this.offsetMs) / 1000))
  }

  state(): number {
    if (!this.known) return TIME.unknown
    return this.millis() - this.setAtMs <= SYNCHRONISED_MS ? TIME.synchronised : TIME.set
  }

  /**
   * Takes the time of a reply to a request that was sent at `sentMs` since boot. Returns whether a
   * known time jumped, or fell below what was told before this boot: the interval says so.
   */
  synchronise(unixS: number, sentMs: number): boolean {
    const nowMs = this.millis()
    if (nowMs - sentMs > MAX_ROUND_TRIP_MS) return false
    this.setAtMs = nowMs
    // Half a second: a reply's seconds are cut, not rounded.
    const offsetMs = unixS * 1000 + 500 - nowMs
    const difference = Math.abs(offsetMs - this.offsetMs)
    const step = this.known ? difference > TOLERANCE_MS : unixS < this.floorUnixS
    if (!this.known || step) this.offsetMs = offsetMs
    this.known = true
    return step
  }
}
