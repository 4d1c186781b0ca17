// Where the meter and its node are in the home: which of two Wi-Fi networks is on the air, which one
// the meter's runtime joins, the node's address there, and whether its name leads to it. What changes
// is told from outside; keeps the truth of where the meter has found its node.
import { HOST } from './network.ts';

/** The home's networks, the first one named at pairing; a router each, with a subnet of its own. */
export const NETWORKS = [
  { ssid: 'home', passphrase: 'first passphrase', prefix: [192, 168, 1] },
  { ssid: 'home new', passphrase: 'second passphrase', prefix: [192, 168, 7] },
];
const METER = 9;
/** DHCP gives these. */
const [FIRST_GIVEN, GIVEN] = [20, 200];

export type LeadsTo = 'node' | 'beyond' | 'nobody' | 'nowhere';

export class Place {
  /** Whether the router knows the node by its name. */
  nameLeads = true;
  /** How often the runtime was told another network: each is a write to its settings. */
  joins = 0;
  /** When the meter came into a network or out of one, or could have, last. */
  changedMs: number;
  /** The one that the runtime's settings name. */
  private named = 0;
  /** The one whose router is there, and whether it is on. */
  private router = 0;
  private isOn = true;
  private nodeLast = 2;
  /** Where the meter found its node last, by an address. */
  private foundAt = '';
  private readonly nowMs: () => number;

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
    this.changedMs = nowMs();
  }

  isConnected(): boolean {
    return this.isOn && this.router === this.named;
  }

  /** The meter's own; null while it is in no network. */
  ownAddress(): Buffer | null {
    return this.isConnected() ? Buffer.from([...this.prefix(), METER]) : null;
  }

  /** As the runtime's settings have it. */
  ssid(): string {
    return NETWORKS[this.named].ssid;
  }

  nodeAddress(): string {
    return [...this.prefix(), this.nodeLast].join('.');
  }

  /** The node gets another address. */
  move(chance: () => number): void {
    const last = FIRST_GIVEN + Math.floor(chance() * (GIVEN - FIRST_GIVEN));
    this.nodeLast = last === this.nodeLast ? last + 1 : last;
  }

  join(ssid: string): void {
    this.joins++;
    this.named = NETWORKS.findIndex((network) => network.ssid === ssid);
    this.changedMs = this.nowMs();
  }

  switchRouter(isOn: boolean): void {
    this.isOn = isOn;
    this.changedMs = this.nowMs();
  }

  /** The other router takes its place. Returns its number. */
  replaceRouter(): number {
    this.router = 1 - this.router;
    this.changedMs = this.nowMs();
    return this.router;
  }

  hasRouter(number: number): boolean {
    return this.router === number;
  }

  isNamed(number: number): boolean {
    return this.named === number;
  }

  leadsTo(host: string): LeadsTo {
    if (!this.isConnected()) return 'nobody';
    if (host === HOST) return this.nameLeads ? 'node' : 'nowhere';
    if (host === this.nodeAddress()) return 'node';
    return /^[0-9.]+$/.test(host) ? 'nobody' : 'beyond';
  }

  /** Whether the node is where the meter asks it first. */
  isKnownAt(place: string): boolean {
    return this.leadsTo(place === '' ? HOST : place) === 'node';
  }

  /** The meter has the counters of `host`. Tells whether it is an address where it was not before. */
  found(host: string): boolean {
    if (host === HOST || host === this.foundAt) return false;
    this.foundAt = host;
    return true;
  }

  /** All is as it should be: the router is there whose network is named. */
  settle(): void {
    this.router = this.named;
    this.switchRouter(true);
    this.nameLeads = true;
  }

  private prefix(): number[] {
    return NETWORKS[this.router].prefix;
  }
}
