// `kit check`: proves a kit fit to ship. Each check says what was measured, and where it failed what
// to do. What cannot be seen from here is `unknown`, never ok. Leaves the node as it was: what a
// peer is told is taken back, and the file that the drive's speed is measured with is removed. With
// `restart` it is stopped dead first, as a power cut would, and must come up again.

import type { BenchRecord } from '../bench/record.ts';
import type { Campaign, Kit } from '../campaign/campaign.ts';
import { reach } from '../node/configure.ts';
import { tcp, type Connect, type NodeConnection } from '../node/connection.ts';
import { addressOf, inspectionOf, leftOf } from '../node/kinds.ts';
import type { Inspection, NodeSecrets } from '../node/kinds.ts';
import { shellOver } from '../node/shell.ts';
import { checkConfigured } from './configured.ts';
import { checkCounters, type Counters } from './counters.ts';
import { checkFederation, notTried, type Side } from './federation.ts';
import { reasonOf, type Check, type CheckState } from './finding.ts';
import { checkLedger } from './ledger.ts';
import { checkNode, type NodeChecks } from './node.ts';
import type { NodeAccount } from './plausible.ts';
import { checkPorts } from './ports.ts';
import { checkPublic, lookupPublic, type Lookup } from './public.ts';
import { checkRestart } from './restart.ts';
import { checkWeb } from './web.ts';
import { withdrawNote } from './withdraw.ts';

export interface CheckDeps {
  campaign: Campaign;
  secrets: NodeSecrets;
  record: BenchRecord;
  now: () => number;
  /** TCP unless told otherwise. */
  connect?: Connect;
  /** The machine's name servers unless told otherwise. */
  lookup?: Lookup;
  /** Whom to try federation with: an account, or another kit of the campaign. */
  peer?: Peer;
  /** Stops the node dead first. */
  restart?: boolean;
  patienceMs?: number;
  report?: (text: string) => void;
}

export type Peer = { account: string } | { kit: Kit; secrets: NodeSecrets };

/** All checks of one kit, in the order in which a person would mend things; throws for none. */
export async function checkKit(kit: Kit, deps: CheckDeps): Promise<Check[]> {
  const { campaign, secrets, restart = false, connect = tcp, lookup = lookupPublic } = deps;
  const say = (text: string): void => deps.report?.(`${kit.name}: ${text}`);
  const inspection = inspectionOf(campaign);
  const address = addressOf(kit, secrets);
  const open = (patienceMs = deps.patienceMs) =>
    reach(address, { connect, kit: kit.name, patienceMs });
  if (restart) say('stopping it dead, and waiting for it');
  const restarted = restart ? [await checkRestart(open)] : [];
  say('logging in');
  const login = await open().then(
    (connection) => ({ connection, error: undefined }),
    (error: unknown) => ({ connection: undefined, error }),
  );
  try {
    const { connection } = login;
    say('looking at the node');
    const node = await checkNode(connection, { ...deps, inspection, why: login.error });
    const left = leftOf(kit, campaign, secrets);
    const configured = await checkConfigured(connection, { kit, left, now: deps.now });
    say('asking its web server');
    const web = await checkWeb(kit, { ...deps, connect, webUnits: inspection.webUnits });
    const { openPorts } = inspection;
    const listening = node.health?.listening;
    const ports = await checkPorts(kit, { connect, openPorts, listening });
    const publicName = await checkPublic(kit, { connect, lookup, fingerprint: web.fingerprint });
    say('asking its counters, its relay and the ledger');
    const asked = { ...deps, connect, bootId: node.facts?.bootId };
    const { checks: counted, counters } = await checkCounters(kit, asked);
    const account = accountOf(node, counters);
    const ledger = await checkLedger(kit, { ...deps, connect, account });
    const federation = await meetPeer(kit, { ...deps, connect, connection, inspection });
    const outside = [...web.checks, ports, publicName, ...counted, ...ledger, ...federation];
    return [...restarted, ...node.checks, configured, ...outside];
  } finally {
    login.connection?.close();
  }
}

/** Fit to ship: nothing failed, and nothing that can be seen from here was left unseen. */
export function verdict(checks: Check[]): { fit: boolean; failed: number; unknown: number } {
  const count = (state: CheckState) => checks.filter((check) => check.state === state).length;
  const failed = count('failed');
  return { fit: failed === 0, failed, unknown: count('unknown') };
}

function accountOf(
  { facts, health }: NodeChecks,
  counters: Counters | undefined,
): NodeAccount | undefined {
  if (facts === undefined || health === undefined || counters === undefined) return undefined;
  const { clockMs, firstBoot } = facts;
  const livedS = firstBoot && (clockMs - Date.parse(firstBoot.appliedAt)) / 1000;
  return { machine: health.machine, uptimeS: health.uptimeS, livedS, counters };
}

async function meetPeer(
  kit: Kit,
  deps: CheckDeps & {
    connect: Connect;
    connection: NodeConnection | undefined;
    inspection: Inspection;
  },
): Promise<Check[]> {
  const { peer, secrets, connection, connect } = deps;
  const { account: accountOn } = deps.inspection;
  if (accountOn === undefined) {
    return notTried('kit cannot work accounts of this server', 'Follow somebody by its own page.');
  }
  const sideOf = (of: Kit, its: NodeSecrets, over: NodeConnection): Side => {
    const { owner: user, domain } = of;
    const account = accountOn({ user, domain }, shellOver(over));
    const withdraw = (id: string) => withdrawNote(id, { kit: of, account, secrets: its, connect });
    return { account, withdraw };
  };
  const owner = connection && sideOf(kit, secrets, connection);
  if (peer === undefined || 'account' in peer) {
    const account = peer?.account;
    if (account !== undefined) deps.report?.(`${kit.name}: meeting ${account}`);
    return checkFederation({ peer: account, owner, peerSide: undefined });
  }
  deps.report?.(`${kit.name}: talking with ${peer.kit.name}`);
  let there: NodeConnection;
  try {
    there = await reach(addressOf(peer.kit, peer.secrets), { connect, kit: peer.kit.name });
  } catch (error) {
    return notTried(`${peer.kit.name}: ${reasonOf(error)}`, 'Is the peer on, and on this network?');
  }
  try {
    const account = `@${peer.kit.owner}@${peer.kit.domain}`;
    return await checkFederation({
      ...{ peer: account, owner, peerSide: sideOf(peer.kit, peer.secrets, there) },
    });
  } finally {
    there.close();
  }
}
