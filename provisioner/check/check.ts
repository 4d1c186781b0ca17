// `kit check`: proves a kit fit to ship. Each check says what was measured, and where it failed what
// to do. What cannot be seen from here is `unknown`, never ok. Changes nothing on the node but, when
// a peer is named, whom its owner follows: taken back afterwards.

import type { BenchRecord } from '../bench/record.ts';
import type { Campaign, Kit } from '../campaign/campaign.ts';
import type { Connect } from '../node/connection.ts';
import { tcp } from '../node/connection.ts';
import { reach } from '../node/configure.ts';
import { addressOf, type NodeSecrets } from '../node/kinds.ts';
import { shellOver } from '../node/shell.ts';
import { checkCounters } from './counters.ts';
import { checkFederation } from './federation.ts';
import { unknown, type Check, type CheckState } from './finding.ts';
import { checkLedger } from './ledger.ts';
import { checkNode } from './node.ts';
import { checkWeb } from './web.ts';

export interface CheckDeps {
  campaign: Campaign;
  secrets: NodeSecrets;
  record: BenchRecord;
  now: () => number;
  /** TCP unless told otherwise. */
  connect?: Connect;
  /** An account on another server, `@user@domain`, to try federation with. */
  peer?: string;
  patienceMs?: number;
  report?: (text: string) => void;
}

/** All checks of one kit, in the order in which a person would mend things. Never throws for one. */
export async function checkKit(kit: Kit, deps: CheckDeps): Promise<Check[]> {
  const connect = deps.connect ?? tcp;
  const say = (text: string): void => deps.report?.(`${kit.name}: ${text}`);
  const address = addressOf(kit, deps.secrets);
  say('logging in');
  const login = await reach(address, { ...deps, kit: kit.name, report: undefined }).then(
    (connection) => ({ connection, error: undefined }),
    (error: unknown) => ({ connection: undefined, error }),
  );
  try {
    const { connection } = login;
    say('looking at the node');
    const node = await checkNode(connection, { ...deps, why: login.error });
    say('asking its web server');
    const web = await checkWeb(kit, { ...deps, connect });
    say('asking its counters, its relay and the ledger');
    const counters = await checkCounters(kit, { ...deps, connect, bootId: node.bootId });
    const ledger = await checkLedger(kit, { ...deps, connect });
    if (deps.peer !== undefined) say(`meeting ${deps.peer}`);
    const shell = connection && shellOver(connection);
    const federation = await checkFederation(kit, { peer: deps.peer, shell });
    return [...node.checks, ...web, ...counters, ...ledger, ...federation, ...unseen];
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

/** True of every kit: the bench stands on the node's own network. */
const unseen: Check[] = [
  unknown(
    'public-name',
    'not seen from the bench: whether the internet finds the domain and reaches ports 80 and 443',
    'After delivery, let somebody outside open the domain.',
  ),
  unknown(
    'backup',
    'not made: a snac kit keeps no backups yet',
    'Tell the owner that their posts are on this one drive.',
  ),
];
