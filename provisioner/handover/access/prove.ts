// Proofs of who is let in, by trying. Only an answer of the very node, known by its host key, proves
// anything: one that is not there refuses nobody.

import type { Kit } from '../../campaign/campaign.ts';
import { KitError } from '../../errors.ts';
import { openConnection, type ConnectionOptions } from '../../node/connection.ts';
import type { NodeAddress } from '../../node/connection.ts';

/** @throws KitError `login-refused`, or why the node could not be asked */
export async function proveLetIn(address: NodeAddress, options: ConnectionOptions): Promise<void> {
  (await openConnection(address, options)).close();
}

/**
 * That the bench's key opens neither root's account nor the owner's.
 * @throws KitError `bench-still-let-in`, `withdrawal-unproven`
 */
export async function proveShutOut(
  { name, owner }: Pick<Kit, 'name' | 'owner'>,
  address: NodeAddress,
  options: ConnectionOptions,
): Promise<void> {
  for (const user of ['root', owner]) {
    const refusal = await openConnection({ ...address, user }, options).then(
      (connection) => connection.close(),
      (error: unknown) => error,
    );
    if (refusal instanceof KitError && refusal.code === 'login-refused') continue;
    throw refusal === undefined ? stillLetIn(name, user) : unproven(name, refusal);
  }
}

function unproven(kit: string, refusal: unknown): KitError {
  return new KitError({
    code: 'withdrawal-unproven',
    message: `Whether ${kit} still lets the bench in could not be seen`,
    expected: 'the node to refuse the bench’s key',
    got: refusal instanceof Error ? refusal.message : String(refusal),
    hint: 'Run the command again when the node can be reached: nothing was erased.',
    cause: refusal,
  });
}

function stillLetIn(kit: string, user: string): KitError {
  return new KitError({
    code: 'bench-still-let-in',
    message: `${kit} still lets the bench in`,
    expected: 'the bench’s key to be refused after it was removed',
    got: `a login as ${user}`,
    hint: 'Look for AuthorizedKeysFile or AuthorizedKeysCommand in the node’s sshd_config.',
  });
}
