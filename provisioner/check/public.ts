// The domain as the internet would find it, as far as a bench can tell: what its name resolves to,
// and whether the very node answers there. A bench inside the home may be refused its own public
// address by the router: that is unknown, not wrong.

import { Resolver } from 'node:dns/promises';
import { BlockList, isIPv6 } from 'node:net';

import type { Kit } from '../campaign/campaign.ts';
import type { Connect } from '../node/connection.ts';
import { linkOnlyRanges, privateRanges } from '../node/part/ranges.ts';
import { failed, ok, reasonOf, unknown, type Check } from './finding.ts';
import { request } from './request.ts';

/** A name's addresses, IPv4 and IPv6; none where there are none. @throws when nobody answers */
export type Lookup = (domain: string) => Promise<string[]>;

export interface PublicDeps {
  connect: Connect;
  lookup: Lookup;
  /** SHA-256 of the certificate that the node shows at the kit's address. */
  fingerprint: string | undefined;
}

/** RFC 6761, RFC 6762, RFC 8375, and `internal` by ICANN's resolution 2024.07.29.06. */
const neverPublic = /(^|\.)(test|invalid|localhost|example|local|home\.arpa|internal|lan)$/;
const afterDelivery = 'After delivery, let somebody outside open the domain.';

export async function checkPublic(kit: Kit, deps: PublicDeps): Promise<Check> {
  const name = 'public-name';
  if (neverPublic.test(kit.domain)) {
    return unknown(name, `${kit.domain} is no name of the internet’s`, afterDelivery);
  }
  let addresses: string[];
  try {
    addresses = await deps.lookup(kit.domain);
  } catch (error) {
    return unknown(name, `no name server answered: ${reasonOf(error)}`, afterDelivery);
  }
  if (addresses.length === 0) {
    const advice = 'Give it an A record, and AAAA if the home has IPv6, or dynamic DNS.';
    return unknown(name, `${kit.domain} has no address yet`, advice);
  }
  const inside = addresses.filter(isPrivate);
  if (inside.length > 0) {
    const advice = 'Point its records at the home’s public address.';
    return failed(name, `${kit.domain} is ${inside.join(', ')}: nobody outside gets there`, advice);
  }
  return whoAnswers(kit, addresses, deps);
}

async function whoAnswers(kit: Kit, addresses: string[], deps: PublicDeps): Promise<Check> {
  const name = 'public-name';
  const seen = await Promise.all(
    addresses.map((address) => certificateAt(kit, address, deps.connect)),
  );
  const list = addresses.join(', ');
  const stranger = addresses.find((_, at) => ![undefined, deps.fingerprint].includes(seen[at]));
  if (stranger !== undefined && deps.fingerprint !== undefined) {
    const advice = 'Mend its records, or the router’s forwarding of port 443.';
    return failed(name, `another server answers for ${kit.domain} at ${stranger}`, advice);
  }
  if (seen.every((fingerprint) => fingerprint !== undefined)) {
    return ok(name, `${kit.domain} is ${list}, and the node answers there`);
  }
  const advice = `Does the router forward ports 80 and 443 to the node? ${afterDelivery}`;
  return unknown(name, `${kit.domain} is ${list}: no answer from here`, advice);
}

/** Whoever it is, trusted or not: only which certificate it shows is of interest. */
async function certificateAt(
  kit: Kit,
  address: string,
  connect: Connect,
): Promise<string | undefined> {
  const target = { connect, address, port: 443, host: kit.domain, path: '/', timeoutMs: 5000 };
  try {
    const reply = await request({ ...target, anybody: true });
    return reply.tls?.fingerprint256;
  } catch {
    // Refused, filtered or no TLS: nothing of ours can be told to be there.
    return undefined;
  }
}

const privateList = new BlockList();
for (const range of [...privateRanges.v4, ...linkOnlyRanges.v4]) addRange(range, 'ipv4');
for (const range of [...privateRanges.v6, ...linkOnlyRanges.v6]) addRange(range, 'ipv6');

function addRange(range: string, family: 'ipv4' | 'ipv6'): void {
  const [address, bits] = range.split('/');
  privateList.addSubnet(address, Number(bits), family);
}

function isPrivate(address: string): boolean {
  return privateList.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

const lookupTimeoutMs = 3000;
const absent = new Set(['ENOTFOUND', 'ENODATA']);

/** The machine's own name servers, asked for records: its hosts file is not the internet's. */
export const lookupPublic: Lookup = async (domain) => {
  const resolver = new Resolver({ timeout: lookupTimeoutMs, tries: 2 });
  const none = (error: NodeJS.ErrnoException): string[] => {
    if (absent.has(error.code ?? '')) return [];
    throw error;
  };
  const found = await Promise.all([
    resolver.resolve4(domain).catch(none),
    resolver.resolve6(domain).catch(none),
  ]);
  return found.flat();
};
