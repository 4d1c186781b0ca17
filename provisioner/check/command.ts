// `kit check`: the command line of this folder.

import { Command } from 'commander';

import { atWorkbench, type Workbench } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import { KitError } from '../errors.ts';
import { createOutput, type Output } from '../terminal.ts';
import { checkKit, verdict } from './check.ts';
import type { Check } from './finding.ts';

export function commands(): Command[] {
  return [checkCommand()];
}

export function checkCommand(): Command {
  return new Command('check')
    .description('prove a kit fit to ship, and say what to do where it is not')
    .argument('<kit>', 'name of a kit in the campaign')
    .option('--peer <peer>', 'whom to try federation with: @user@domain, or another kit')
    .option('--restart', 'stop the node dead first, as a power cut would', false)
    .action(async function (this: Command, name: string) {
      const options = this.optsWithGlobals();
      const output = createOutput(options);
      const { peer, restart } = options;
      checkPeer(peer);
      const kits = [name, ...(peer === undefined || peer.startsWith('@') ? [] : [peer])];
      await atWorkbench({ ...options, kits }, async (bench, [kit, peerKit]) => {
        const asked = { peer: peerKit ?? peer, restart };
        const { fit, failed, unknown, checks } = await checkAtBench(bench, kit, { asked, output });
        output.result({ kit: kit.name, fit, failed, unknown, checks }, humanOf(kit.name, checks));
        // The document has said it all: an error's words beside it would be a second one.
        if (!fit) process.exitCode = 1;
      });
    });
}

/** `kit check` once the bench is open: the checks, recorded. */
export async function checkAtBench(
  { campaign, secrets, record }: Workbench,
  kit: Kit,
  { asked, output }: { asked: { peer?: string | Kit; restart?: boolean }; output: Output },
): Promise<ReturnType<typeof verdict> & { checks: Check[] }> {
  const opened = async (of: Kit) => ({
    campaign: await secrets.campaign(),
    kit: await secrets.kit(of),
  });
  const { peer, restart } = asked;
  const other = typeof peer === 'string' ? { account: peer } : undefined;
  record.start(kit.name, 'check');
  const checks = await checkKit(kit, {
    ...{ campaign, record, secrets: await opened(kit), now: Date.now, restart },
    peer: typeof peer === 'object' ? { kit: peer, secrets: await opened(peer) } : other,
    report: (text) => output.event({ type: 'check', kit: kit.name, text }),
  });
  const outcome = verdict(checks);
  if (outcome.fit) record.done(kit.name, 'check', { unknown: outcome.unknown });
  else record.fail(kit.name, 'check', unfit(kit.name, checks));
  return { ...outcome, checks };
}

const signs = { ok: '✓', failed: '✗', unknown: '?' };

/** A line a check, and under those that are not ok what to do. */
export function humanOf(kit: string, checks: Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.flatMap(({ name, state, measured, advice }) => [
    `  ${signs[state]} ${name.padEnd(width)}  ${measured}`,
    ...(advice === '' ? [] : [`    ${' '.repeat(width)}  → ${advice}`]),
  ]);
  const { fit, failed, unknown } = verdict(checks);
  const unseen = unknown === 0 ? '' : `, ${unknown} could not be seen from here`;
  const end = `${kit} is ${fit ? 'fit to ship' : `not fit: ${failed} failed`}${unseen}`;
  return [...lines, end].join('\n');
}

function checkPeer(peer: string | undefined): void {
  if (peer === undefined || /^(@[\w.-]+@[a-z0-9.-]+|[a-z0-9-]+)$/i.test(peer)) return;
  throw new KitError({
    code: 'peer-invalid',
    message: 'The peer is neither an account nor a kit',
    expected: 'an account such as @bob@bob.example, or the name of another kit',
    got: peer,
    hint: 'Name it with both @ signs.',
    exitCode: 2,
  });
}

export function unfit(kit: string, checks: Check[]): KitError {
  const names = checks.filter(({ state }) => state === 'failed').map((check) => check.name);
  return new KitError({
    code: 'kit-unfit',
    message: `${kit} is not fit to ship`,
    expected: 'every check to hold',
    got: `failed: ${names.join(', ')}`,
    hint: 'Do what the checks advise, then check again.',
  });
}
