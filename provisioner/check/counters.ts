// The meter's view of the node: the counters on port 8010, well-formed as provisioner/node/snac's
// service promises, and the relay on port 80 that carries batches to the ledger.

import type { Campaign, Kit } from '../campaign/campaign.ts';
import type { Connect } from '../node/connection.ts';
import { countersPort } from '../node/part/firewall.ts';
import { attempt, ok, type Check } from './finding.ts';
import { request, requestJson, textOf } from './request.ts';

export interface CountersDeps {
  connect: Connect;
  campaign: Campaign;
  /** Of the node's kernel, when SSH told it. */
  bootId: string | undefined;
}

/** The meter has a buffer of this size. */
const maxBytes = 511;
const counts = ['wan_in_bytes', 'wan_out_bytes', 'disk_used_bytes', 'users', 'posts'];

/** The node's own claims, as the meter is told them. */
export interface Counters {
  wanInBytes: number;
  wanOutBytes: number;
  diskUsedBytes: number;
}

export async function checkCounters(
  kit: Kit,
  { connect, campaign, bootId }: CountersDeps,
): Promise<{ checks: Check[]; counters: Counters | undefined }> {
  const target = { connect, address: kit.address, host: kit.address };
  let counters: Counters | undefined;
  const checks = [
    await attempt(
      'counters',
      'Run `kit configure`; then look at commons-counters.socket.',
      async () => {
        const path = '/counters';
        const reply = await request({ ...target, port: countersPort, path });
        const said = textOf(reply);
        if (reply.status !== 200) throw new Error(`status ${reply.status}: ${said}`);
        counters = readCounters(said, bootId);
        const [inside, out] = [counters.wanInBytes, counters.wanOutBytes]
          .map((sizeBytes) => (sizeBytes / 1e6).toFixed(1));
        return ok('counters', `${inside} MB in, ${out} MB out, claimed`);
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
  return { checks, counters };
}

/** @throws Error saying what is wrong with them */
export function readCounters(body: string, bootId: string | undefined): Counters {
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
  return {
    wanInBytes: json['wan_in_bytes'] as number,
    wanOutBytes: json['wan_out_bytes'] as number,
    diskUsedBytes: json['disk_used_bytes'] as number,
  };
}
