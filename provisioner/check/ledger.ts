// The ledger's view of the kit: its meter enrolled, its batches arriving. Asked over the ledger's
// public HTTP interface alone. That a batch stands in the log is the auditor's to prove.

import type { BenchRecord } from '../bench/record.ts';
import type { Campaign, Kit } from '../campaign/campaign.ts';
import type { Connect } from '../node/connection.ts';
import { attempt, failed, ok, unknown, type Check } from './finding.ts';
import { requestJson } from './request.ts';

export interface LedgerDeps {
  connect: Connect;
  campaign: Campaign;
  record: BenchRecord;
}

export async function checkLedger(kit: Kit, deps: LedgerDeps): Promise<Check[]> {
  const meter = deps.record.lastDone(kit.name, 'pair')?.detail['meter'];
  if (typeof meter !== 'string') {
    const measured = 'the bench has no record of a meter for this kit';
    return [failed('meter', measured, `Run \`kit meter pair ${kit.name}\`.`)];
  }
  const advice = 'Is the ledger up, and the meter enrolled there?';
  const enrolled = await attempt('meter', advice, async () => {
    const { json } = await askLedger(deps, `/v1/nodes/${meter}`);
    const { json: ledger } = await askLedger(deps, '/v1/ledger');
    return judgeMeter(meter, json as unknown as NodeAnswer, Number(ledger['now']));
  });
  return [enrolled];
}

export interface NodeAnswer {
  state: string;
  interval_s: number;
  log: { batches: number; missing_batches: number; last_received: string | null };
}

/** As the ledger itself: eight intervals without a batch is silence. */
const silentAfterIntervals = 8;

/** @param nowMs by the ledger's clock, which a try-out may run faster than ours */
export function judgeMeter(meter: string, node: NodeAnswer, nowMs: number): Check {
  const { batches, missing_batches: missing, last_received: last } = node.log;
  const ageS = last === null ? Infinity : Math.max(0, (nowMs - Date.parse(last)) / 1000);
  const age = Number.isFinite(ageS) ? `the last ${Math.round(ageS)} s ago` : 'none yet';
  const measured = `${meter} is ${node.state}: ${batches} batches, ${age}, ${missing} missing`;
  if (node.state === 'revoked') {
    return failed('meter', measured, 'Its key signed two different messages: pair it anew.');
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

function askLedger({ campaign, connect }: LedgerDeps, path: string) {
  const url = new URL(`${campaign.ledger}${path}`);
  const secure = url.protocol === 'https:';
  return requestJson({
    connect,
    address: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || (secure ? 443 : 80)),
    host: url.host,
    path: `${url.pathname}${url.search}`,
    secure,
  });
}
