// Whether the node still is what `kit configure` made of it: its plan for the node as it is now must
// be empty. What no other check looks at shows here: a host name, the mode of a key, a file that
// somebody changed. Nothing is done about it.

import type { Kit } from '../campaign/campaign.ts';
import { KitError } from '../errors.ts';
import type { NodeConnection } from '../node/connection.ts';
import type { leftOf } from '../node/kinds.ts';
import { attempt, failed, ok, unknown, type Check } from './finding.ts';

export interface ConfiguredDeps {
  kit: Kit;
  left: ReturnType<typeof leftOf>;
  now: () => number;
}

const name = 'configured';
const again = 'Run `kit configure`: it does what is left.';
/** A fresh node's twenty steps would bury what the other checks say. */
const mostTold = 3;

/** @param connection undefined: the node could not be logged into */
export async function checkConfigured(
  connection: NodeConnection | undefined,
  { kit, left, now }: ConfiguredDeps,
): Promise<Check> {
  if (connection === undefined) return unknown(name, 'not seen: no login', 'Mend `login` first.');
  return attempt(name, adviceOn, async () => {
    const steps = await left({ connection, kit: kit.name, now });
    if (steps.length === 0) return ok(name, 'nothing is left to do');
    const told = steps.slice(0, mostTold).map((step) => `${step.name} (${step.because})`);
    const more = steps.length > mostTold ? `; and ${steps.length - mostTold} more` : '';
    return failed(name, `left to do: ${told.join('; ')}${more}`, again);
  });
}

/** A plan that cannot be made says itself what is in its way. */
function adviceOn(error: unknown): string {
  return (error instanceof KitError ? error.hint : undefined) ?? again;
}
