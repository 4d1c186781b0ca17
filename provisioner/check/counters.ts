// The meter's view of the node: the counters on port 8010, well-formed as provisioner/node/snac's
// service promises, and the relay on port 80 that carries batches to the ledger.

import type { Campaign, Kit } from '../campaign/campaign.ts';
import type { Connect } from '../node/connection.ts';
import { countersPort } from '../node/part/firewall.ts';
import { attempt, ok, type Check } from './finding.ts';
import { request, requestJson } from './request.ts';

export interface CountersDeps {
  connect: Connect;
  campaign: Campaign;
  /** Of the node's kernel, when SSH told it. */
  bootId: string | undefined;
}

/** The meter has a buffer of this size. */
const maxBytes = 511;
const counts = ['wan_in_bytes', 'wan_out_bytes', 'disk_used_bytes', 'users', 'posts'];

export async function checkCounters(
  kit: Kit,
  { connect, campaign, bootId }: CountersDeps,
): Promise<Check[]> {
  const target = { connect, address: kit.address, host: kit.address };
  return [
    await attempt(
      'counters',
      'Run `kit configure`; then look at commons-counters.socket.',
      async () => {
        const path = '/counters';
        const reply = await request({ ...target, port: countersPort, path });
        if (reply.status !== 200) throw new Error(`status ${reply.status}: ${reply.body}`);
        return ok('counters', readCounters(reply.body, bootId));
      },
    ),
    await attempt(
      'relay',
      'Is the ledger up, and can the node reach it? Run `kit configure` if its address changed.',
      async () => {
        const { json } = await requestJson({ ...target, port: 80, path: '/commons/v1/ledger' });
        const origin = String(json['origin']);
        if (origin !== campaign.ledgerOrigin) throw new Error(`it leads to the ledger ${origin}`);
        return ok('relay', `leads to the ledger ${origin}`);
      },
    ),
  ];
}

/** The counters in words. @throws Error saying what is wrong with them */
export function readCounters(body: string, bootId: string | undefined): string {
  if (Buffer.byteLength(body) > maxBytes) throw new Error(`${Buffer.byteLength(body)} bytes long`);
  const json = JSON.parse(body) as Record<string, unknown>;
  if (json['v'] !== 1) throw new Error(`version ${String(json['v'])}`);
  const boot = String(json['boot']);
  if (!/^[0-9a-f]{32}$/.test(boot)) throw new Error(`boot id ${boot}`);
  if (bootId !== undefined && boot !== bootId) throw new Error('they are of another boot');
  for (const name of counts) {
    const value = json[name];
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Error(`${name}: ${value}`);
  }
  const temperature = json['temperature_milli_c'];
  if (temperature !== null && !Number.isSafeInteger(temperature)) {
    throw new Error(`temperature_milli_c: ${String(temperature)}`);
  }
  const megabytes = (name: string) => (Number(json[name]) / 1e6).toFixed(1);
  return `${megabytes('wan_in_bytes')} MB in, ${megabytes('wan_out_bytes')} MB out, claimed`;
}
