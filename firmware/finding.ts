// Where the node is asked: by its name; where that leads nowhere, at the address where it was found
// last; where that is not it, by a search of the home's own network, a few addresses at a time. A name
// alone is not enough: at home it often leads to the router's outer side, or nowhere once the router
// is another.
//
// Owns the order and the pace of asking. It asks nobody itself, knows no request and no answer but
// whether it was the node's, and never looks outside the private network that the meter is in.

/** What an answer must say of itself. */
export interface Asked {
  answered: boolean
}

export interface FinderParts<A extends Asked> {
  /** Asks at `host`, which is the node whatever it calls itself: it was told so. */
  askByName(host: string): Promise<A>
  /** Asks at an address; anybody else's answer is none. `isSearch`: it is hardly there, wait little. */
  askAt(address: string, isSearch: boolean): Promise<A>
  /** The meter's own address, 4 bytes; null if it has none, or none of IPv4. */
  ownAddress(): Promise<Buffer | null>
  millis(): number
  /** Keeps where it was found, for the next start. */
  keep(address: Buffer): Promise<void>
}

/** A name that leads nowhere for so long is looked for. */
const SEARCH_AFTER_MS = 300000
/** Asked at one probe: at half a second each they take less than the time between two. */
const ADDRESSES_A_PROBE = 8
/** Addresses of a network of the usual size; a larger one is not searched any further. */
const FIRST = 1
const LAST = 254
/** Between two searches that found nothing. */
const REST_MS = 6 * 3600 * 1000

export class Finder<A extends Asked> {
  /** Where it is asked first: its name, or the address where it was found last. */
  place: string
  private parts: FinderParts<A>
  private name: string
  /** Where it was found last; empty if it never was. */
  private address: string
  private downSinceMs = -1
  /** The last number of the next address to ask. */
  private next = FIRST
  private restUntilMs = 0

  /** @param kept where it was found in another life, null if it was not */
  constructor(parts: FinderParts<A>, name: string, kept: Buffer | null) {
    this.parts = parts
    this.name = name
    this.address = kept === null ? '' : textOf(kept, kept[3])
    this.place = name
  }

  /** Asks where it may be; `moved`: it answered elsewhere than before. What the first place said counts. */
  async ask(): Promise<{ asked: A; moved: boolean }> {
    const asked = await this.askPlace(this.place)
    if (asked.answered) return this.found(asked, this.place)
    const other = this.place === this.name ? this.address : this.name
    if (other !== '') {
      const there = await this.askPlace(other)
      if (there.answered) return this.found(there, other)
    }
    const { parts } = this
    if (this.downSinceMs < 0) this.downSinceMs = parts.millis()
    const isDue = parts.millis() - this.downSinceMs >= SEARCH_AFTER_MS
    const there = isDue && parts.millis() >= this.restUntilMs ? await this.search() : null
    return there === null ? { asked, moved: false } : this.found(there.asked, there.address)
  }

  private async askPlace(place: string): Promise<A> {
    return place === this.name ? await this.parts.askByName(place) : await this.parts.askAt(place, false)
  }

  private found(asked: A, place: string): { asked: A; moved: boolean } {
    // By its name it may be anywhere: that it is where it was is all that an address tells.
    const moved = place !== this.place && place !== this.name && place !== this.address
    if (place !== this.name) this.address = place
    this.place = place
    this.downSinceMs = -1
    this.next = FIRST
    this.restUntilMs = 0
    return { asked, moved }
  }

  /** A few addresses more; null if it is at none of them. */
  private async search(): Promise<{ asked: A; address: string } | null> {
    const { parts } = this
    const own = await parts.ownAddress()
    if (own === null || !isPrivate(own)) return null
    for (let i = 0; i < ADDRESSES_A_PROBE && this.next <= LAST; i++) {
      const last = this.next
      this.next++
      const address = textOf(own, last)
      if (last === own[3] || address === this.address) continue
      const asked = await parts.askAt(address, true)
      if (asked.answered) {
        await parts.keep(Buffer.from([own[0], own[1], own[2], last]))
        return { asked, address }
      }
    }
    if (this.next > LAST) {
      this.next = FIRST
      this.restUntilMs = parts.millis() + REST_MS
    }
    return null
  }
}

/** Three of its bytes, and another last one. */
function textOf(address: Buffer, last: number): string {
  return address[0] + '.' + address[1] + '.' + address[2] + '.' + last
}

/** RFC 1918: the networks of homes. */
function isPrivate(address: Buffer): boolean {
  if (address.length !== 4) return false
  if (address[0] === 10) return true
  if (address[0] === 172) return address[1] >= 16 && address[1] < 32
  return address[0] === 192 && address[1] === 168
}
