// Which of the home's Wi-Fi networks the meter is in. The runtime joins the one that its own settings
// name, and knows no other; where that one stays away, the next of those that the bench wrote is named
// instead.
//
// Owns when another is tried. Seldom: to name one writes to the settings, in a store that a write cut
// short can lose, the program with it.

export interface Network {
  ssid: string
  passphrase: string
}

export interface NetworkParts {
  /** The meter's own address; null while it is in no network. */
  ownAddress(): Promise<Buffer | null>
  /** The network that the runtime's settings name; empty if there is none. */
  named(): Promise<string>
  join(network: Network): Promise<void>
  millis(): number
}

/** A router that restarts is back by then. */
const FIRST_WAIT_MS = 600000
/** Doubled at each change: dozens of writes in a year without any network. */
const MOST_WAIT_MS = 86400000

export class Networks {
  private parts: NetworkParts
  private known: Network[]
  private awaySinceMs = -1
  private waitMs = FIRST_WAIT_MS

  constructor(parts: NetworkParts, known: Network[]) {
    this.parts = parts
    this.known = known
  }

  /** Joins another network if it is time to; returns its number, counted from 1, or 0. */
  async look(): Promise<number> {
    const nowMs = this.parts.millis()
    if (this.known.length < 2 || (await this.parts.ownAddress()) !== null) {
      this.awaySinceMs = -1
      this.waitMs = FIRST_WAIT_MS
      return 0
    }
    if (this.awaySinceMs < 0) this.awaySinceMs = nowMs
    if (nowMs - this.awaySinceMs < this.waitMs) return 0
    const next = this.after(await this.parts.named())
    await this.parts.join(this.known[next])
    this.awaySinceMs = nowMs
    this.waitMs = Math.min(MOST_WAIT_MS, this.waitMs * 2)
    return next + 1
  }

  private after(ssid: string): number {
    let next = 0
    this.known.forEach((network, i) => {
      if (network.ssid === ssid) next = i + 1
    })
    return next === this.known.length ? 0 : next
  }
}
