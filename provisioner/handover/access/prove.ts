// Proofs of who is let in, by trying. Only an answer of the very node, known by its host key, proves
// anything: one that is not there refuses nobody.

import { KitError } from '../../errors.ts';
import { openConnection, type ConnectionOptions } from '../../node/connection.ts';
import type { NodeAddress } from '../../node/connection.ts';

/** @throws KitError `login-refused`, or why the node could not be asked */
export async function proveLetIn(address: NodeAddress, options: ConnectionOptions): Promise<void> {
  (await openConnection(address, options)).close();
}

/** @throws KitError `bench-still-let-in`, `withdrawal-unproven` */
export async function proveShutOut(
  kit: string,
  address: NodeAddress,
  options: ConnectionOptions,
): Promise<void> {
  const refusal = await openConnection(address, options).then(
    (connection) => connection.close(),
    (error: unknown) => error,
  );
  if (refusal instanceof KitError && refusal.code === 'login-refused') return;
  if (refusal === undefined) throw stillLetIn(kit);
  throw new KitError({
    code: 'withdrawal-unproven',
    message: `Whether ${kit} still lets the bench in could not be seen`,
    expected: 'the node to refuse the bench’s key',
    got: refusal instanceof Error ? refusal.message : String(refusal),
    hint: 'Run the command again when the node can be reached: nothing was erased.',
    cause: refusal,
  });
}

function stillLetIn(kit: string): KitError {
  return new KitError({
    code: 'bench-still-let-in',
    message: `${kit} still lets the bench in`,
    expected: 'the bench’s key to be refused after it was removed',
    got: 'a login as root',
    hint: 'Look for AuthorizedKeysFile or AuthorizedKeysCommand in the node’s sshd_config.',
  });
}
