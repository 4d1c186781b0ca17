// The kinds of node that a campaign's image can be, by the image's name. A new kind is a folder
// beside snac/ and a line here.

import type { Campaign, Kit } from '../campaign/campaign.ts';
import type { CampaignSecrets, KitSecrets } from '../campaign/secrets.ts';
import { KitError } from '../errors.ts';
import { configureNode, type ConfigureOptions, type ConfigureOutcome } from './configure.ts';
import type { NodeAddress } from './connection.ts';
import { snacDesired } from './snac/desired.ts';
import { snac } from './snac/plan.ts';

export interface NodeSecrets {
  campaign: CampaignSecrets;
  kit: KitSecrets;
}

type Configure = (
  options: ConfigureOptions & { address: NodeAddress },
) => Promise<ConfigureOutcome>;

const kinds: Record<string, (kit: Kit, campaign: Campaign, secrets: NodeSecrets) => Configure> = {
  snac: (kit, campaign, secrets) => (options) =>
    configureNode(snac, snacDesired(kit, campaign, secrets), options),
};

/** What configures this kit's node. @throws KitError `kind-unknown` */
export function configurerOf(kit: Kit, campaign: Campaign, secrets: NodeSecrets): Configure {
  const kind = kinds[campaign.image];
  if (kind !== undefined) return kind(kit, campaign, secrets);
  throw new KitError({
    code: 'kind-unknown',
    message: `Nobody has taught kit to configure nodes made from “${campaign.image}”`,
    expected: `image to be one of ${Object.keys(kinds).join(', ')}`,
    got: campaign.image,
    hint: `Mend image in ${campaign.file}.`,
    exitCode: 2,
  });
}

/** How the bench reaches a kit's node. */
export function addressOf(kit: Kit, secrets: NodeSecrets): NodeAddress {
  return {
    host: kit.address,
    port: kit.sshPort,
    hostKeyLine: secrets.kit.sshHostKey.publicLine,
    loginKeyPem: secrets.campaign.benchLogin.privatePem,
  };
}
