// A kit's YunoHost node, for tests as root: a machine with the kit's identity, and kit at its bench.

import type { ExecutionContext } from 'ava';

import type { Campaign, Kit } from '../../provisioner/campaign/campaign.ts';
import type { ConfigureOutcome, NodeEvent } from '../../provisioner/node/configure.ts';
import { addressOf, configurerOf, type NodeSecrets } from '../../provisioner/node/kinds.ts';
import { makeBench, type TestBench } from './bench.ts';
import { makeYunohostMachine, type YunohostMachine } from './yunohost-machine.ts';

export interface YunohostNode {
  bench: TestBench;
  kit: Kit;
  campaign: Campaign;
  secrets: NodeSecrets;
  machine: YunohostMachine;
  /** @param waits for the node to boot again, should its plug be pulled meanwhile */
  configure(options?: ConfigureChanges): Promise<ConfigureOutcome>;
}

export interface ConfigureChanges {
  waits?: boolean;
  dryRun?: boolean;
  kit?: Partial<Kit>;
  campaign?: Partial<Campaign>;
  secrets?: NodeSecrets;
  report?: (event: NodeEvent) => void;
}

const text = `name = "Riverside"
ledger = "http://ledger.test"
ledger_origin = "ledger.test/commons"
image = "yunohost"
arch = "amd64"
timezone = "Europe/Vienna"

[[kit]]
name = "alice"
domain = "alice.test"
owner = "alice"
`;

/**
 * Booted once, as kit's image leaves it but for the service that anybody could take it over by.
 * @param died the node whose new drive it is; the bench is that one's
 */
export async function makeYunohostNode(
  t: ExecutionContext,
  died?: YunohostNode,
): Promise<YunohostNode> {
  await died?.machine.end();
  const { bench, kit, secrets } = died ?? (await openBench(t));
  const machine = makeYunohostMachine({
    hostname: kit.name,
    hostKeyPem: secrets.kit.sshHostKey.privatePem,
    benchLine: secrets.campaign.benchLogin.publicLine,
  });
  t.teardown(() => machine.end());
  await machine.boot();
  const { campaign } = bench;
  return {
    ...{ bench, kit, campaign, secrets, machine },
    configure({ waits = false, dryRun, report, ...changes } = {}) {
      const its = { ...kit, ...changes.kit };
      const wanted = { ...campaign, ...changes.campaign };
      const known = changes.secrets ?? secrets;
      return configurerOf(its, wanted, known)({
        ...{ kit: kit.name, dryRun, report, patienceMs: waits ? 30_000 : 0 },
        address: { ...addressOf(its, known), host: machine.address },
      });
    },
  };
}

async function openBench(t: ExecutionContext): Promise<Pick<YunohostNode, 'bench' | 'kit' | 'secrets'>> {
  const bench = await makeBench(text);
  t.teardown(() => bench.remove());
  const [kit] = bench.campaign.kits;
  const secrets = {
    campaign: await bench.secrets.campaign(),
    kit: await bench.secrets.kit(kit),
  };
  return { bench, kit, secrets };
}
