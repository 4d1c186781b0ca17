// The ledger's view of the kit: its meter enrolled, its batches arriving, what it says plausible
// beside the node's own account, and its entries in the log, which is proven and not believed.
// Asked over the ledger's public HTTP interface alone.

import type { BenchRecord } from '../bench/record.ts';
import type { Campaign, Kit } from '../campaign/campaign.ts';
import type { Connect } from '../node/connection.ts';
import { attempt, failed, ok, unknown, type Check } from './finding.ts';
import { checkEntries } from './ledger-entry.ts';
import { judgePlausible, type NodeAccount } from './plausible.ts';
import { request, requestJson, type Reply, type Target } from './request.ts';

export interface LedgerDeps {
  connect: Connect;
  campaign: Campaign;
  record: BenchRecord;
  /** What the node said of itself; undefined: it could not be asked. */
  account: NodeAccount | undefined;
}

export async function checkLedger(kit: Kit, deps: LedgerDeps): Promise<Check[]> {
  const paired = deps.record.lastDone(kit.name, 'pair')?.detail ?? {};
  const meter = paired['meter'];
  if (typeof meter !== 'string') {
    const measured = 'the bench has no record of a meter for this kit';
    const pair = `Run \`kit meter pair ${kit.name}\`.`;
    const unseen = ['meter-plausible', 'ledger-entry'].map((name) =>
      unknown(name, 'not seen: no meter', 'Mend `meter` first.'),
    );
    return [failed('meter', measured, pair), ...unseen];
  }
  let node: NodeAnswer | undefined;
  let ledger: LedgerAnswer | undefined;
  const advice = 'Is the ledger up, and the meter enrolled there?';
  const enrolled = await attempt('meter', advice, async () => {
    node = (await askJson(deps, `/v1/nodes/${meter}`)) as unknown as NodeAnswer;
    ledger = (await askJson(deps, '/v1/ledger')) as unknown as LedgerAnswer;
    return judgeMeter(meter, node, ledger.now);
  });
  if (node === undefined || ledger === undefined) {
    const unseen = ['meter-plausible', 'ledger-entry'].map((name) =>
      unknown(name, 'not seen: the ledger did not tell', 'Mend `meter` first.'),
    );
    return [enrolled, ...unseen];
  }
  const indices = [paired['entry'], node.log.last_index].filter((at) => typeof at === 'number');
  const entry = await checkEntries({
    ...{ meter, indices, ledgerKey: deps.campaign.ledgerKey, shownKey: ledger.vkey },
    read: async (path) => (await ask(deps, `/${path}`)).body,
  });
  return [enrolled, judgePlausible(node, deps.account, ledger.rate ?? 1), entry];
}

/** `GET /v1/ledger`. */
interface LedgerAnswer {
  vkey: string;
  /** Unix milliseconds, by a clock that a try-out may run faster than ours. */
  now: number;
  /** Seconds of that clock in one of ours. */
  rate?: number;
}

/** `GET /v1/nodes/ID`. */
export interface NodeAnswer {
  state: string;
  interval_s: number;
  log: {
    batches: number;
    missing_batches: number;
    last_index: number | null;
    last_received: string | null;
  };
  measured: { power_milli_w: number | null; up_s: number };
  claimed: {
    wan_in_bytes: number | null;
    wan_out_bytes: number | null;
    disk_used_bytes: number | null;
  };
}

/** As the ledger itself: eight intervals without a batch is silence. */
const silentAfterIntervals = 8;

/** @param nowMs by the ledger's clock */
export function judgeMeter(meter: string, node: NodeAnswer, nowMs: number): Check {
  const { batches, missing_batches: missing, last_received: last } = node.log;
  const ageS = last === null ? Infinity : Math.max(0, (nowMs - Date.parse(last)) / 1000);
  const age = Number.isFinite(ageS) ? `the last ${Math.round(ageS)} s ago` : 'none yet';
  const measured = `${meter} is ${node.state}: ${batches} batches, ${age}, ${missing} missing`;
  if (node.state === 'revoked') {
    return failed('meter', measured, 'Its key signed two different messages: pair it anew.');
  }
  if (node.state === 'retired') {
    return failed('meter', measured, 'It was taken out of service: pair another board.');
  }
  if (!Number.isFinite(ageS)) {
    return unknown('meter', measured, 'Wait for its first batch, or press its button for long.');
  }
  if (ageS > silentAfterIntervals * node.interval_s) {
    return failed('meter', measured, 'Is the meter powered and on the LAN? Its screen says.');
  }
  if (node.state === 'down') {
    return failed('meter', measured, 'The meter’s probes go unanswered: look at `counters`.');
  }
  if (missing > 0) return failed('meter', measured, 'Ask the ledger’s operator where they are.');
  return ok('meter', measured);
}

async function askJson(deps: LedgerDeps, path: string): Promise<Record<string, unknown>> {
  return (await requestJson(targetOf(deps, path))).json;
}

async function ask(deps: LedgerDeps, path: string): Promise<Reply> {
  const reply = await request(targetOf(deps, path));
  if (reply.status !== 200) throw new Error(`${path}: status ${reply.status}`);
  return reply;
}

function targetOf({ campaign, connect }: LedgerDeps, path: string): Target {
  const url = new URL(`${campaign.ledger}${path}`);
  const secure = url.protocol === 'https:';
  return {
    connect,
    address: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || (secure ? 443 : 80)),
    host: url.host,
    path: `${url.pathname}${url.search}`,
    secure,
  };
}
