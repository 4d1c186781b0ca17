// Deletes a post by snac's own page, as its owner would: the command line cannot. Knows the owner's
// passphrase only while it is the one that the bench made.

import type { Kit } from '../campaign/campaign.ts';
import type { Connect } from '../node/connection.ts';
import type { NodeSecrets } from '../node/kinds.ts';
import { Secret } from '../node/secret.ts';
import type { SnacPeer } from '../node/snac/account.ts';
import { request } from './request.ts';

/** @throws Error when the page refuses */
export async function withdrawNote(
  noteId: string,
  { kit, account, secrets, connect }: {
    kit: Kit;
    account: SnacPeer;
    secrets: NodeSecrets;
    connect: Connect;
  },
): Promise<void> {
  const { status } = await request({
    ...{ connect, address: kit.address, port: 443, host: kit.domain },
    ca: secrets.campaign.caCertificatePem,
    path: `${new URL(account.actor).pathname}/admin/action`,
    form: { id: noteId, actor: account.actor, action: 'Delete' },
    login: { user: kit.owner, passphrase: new Secret(secrets.kit.ownerPassphrase) },
  });
  if (status === 401) throw new Error('the owner has another passphrase by now');
  if (status !== 303) throw new Error(`its page answers with status ${status}`);
}
