// The kinds of node that a campaign's image can be, by the image's name. A new kind is a folder
// beside snac/ and a line here.

import type { Campaign, Kit } from '../campaign/campaign.ts';
import type { CampaignSecrets, KitSecrets } from '../campaign/secrets.ts';
import { KitError } from '../errors.ts';
import { configureNode, stepsLeft, type NodeKind } from './configure.ts';
import type { ConfigureOptions, ConfigureOutcome } from './configure.ts';
import type { NodeAddress, NodeConnection } from './connection.ts';
import type { Fact } from './fact.ts';
import type { Acme } from './part/acme.ts';
import { freedomboxDesired, freedomboxHome } from './freedombox/desired.ts';
import { freedomboxHandover } from './freedombox/handover.ts';
import { freedomboxInspection } from './freedombox/inspection.ts';
import { freedombox } from './freedombox/plan.ts';
import { freedomboxRestorable, freedomboxRestoration } from './freedombox/restoration.ts';
import type { Shell } from './shell.ts';
import type { SnacPeer } from './snac/account.ts';
import type { SshdReading } from './part/sshd.ts';
import { snacDesired, snacHome } from './snac/desired.ts';
import { snacInspection } from './snac/inspection.ts';
import { snacHandover } from './snac/passphrase.ts';
import { snac } from './snac/plan.ts';
import { snacRestorable, snacRestoration } from './snac/restoration.ts';
import type { FileWrite, Step } from './step.ts';
import { letsencryptDirectory } from './yunohost/certificate.ts';
import { yunohostDesired, yunohostHome } from './yunohost/desired.ts';
import type { Complaint } from './yunohost/diagnosis.ts';
import { yunohostHandover } from './yunohost/handover.ts';
import { yunohostInspection } from './yunohost/inspection.ts';
import { yunohost } from './yunohost/plan.ts';
import { yunohostRestorable, yunohostRestoration } from './yunohost/restoration.ts';

export interface NodeSecrets {
  campaign: CampaignSecrets;
  kit: KitSecrets;
}

/** Of a node that came back from a backup: what its owner types, nobody else may know. */
export interface RestoredSecrets {
  campaign: CampaignSecrets;
  kit: Pick<KitSecrets, 'sshHostKey' | 'tls'>;
}

type Configure = (
  options: ConfigureOptions & { address: NodeAddress },
) => Promise<ConfigureOutcome>;

/** A kind of node, and what this kit's should be. */
interface Wanted {
  configure: Configure;
  /** What configuring would do now. @throws KitError as configure.ts's `stepsLeft` */
  left(at: { connection: NodeConnection; kit: string; now?: () => number }): Promise<Step[]>;
}

/** What `kit check` has to know of a kind of node. */
export interface Inspection {
  /** systemd's units that must be enabled and run. */
  units: string[];
  /** Whether the firewall's rules are in the kernel. */
  firewall: Fact<boolean>;
  /** TCP ports that others may reach; whatever else listens must not answer. */
  openPorts: number[];
  /** The owner's account on its fediverse server; undefined: kit cannot work that server. */
  account: ((owner: { user: string; domain: string }, shell: Shell) => SnacPeer) | undefined;
  /** Where to look when the web server answers wrongly. */
  webUnits: string;
  /** What the node's own software finds amiss with it, where it looks; undefined: not yet. */
  diagnosis?: Fact<Complaint[] | undefined>;
}

/** What `kit handover` has to know of a kind of node. */
export interface Handover {
  /** Programs for `folder` that give the owner's accounts a new passphrase, and what else it takes. */
  files(folder: string): FileWrite[];
  /** Below the kit's domain, where the passphrase opens: the first is the leaflet's first login. */
  logins(owner: string): string[];
  /** Where the node tells its owner at home how it is; undefined: nowhere. */
  healthPort?: number;
  /** How the SSH server comes to read whom hand-over lets in. */
  sshd: SshdReading;
}

/** What `kit restore` has to know of a kind of node. */
export interface Restoration {
  /** What putting back needs, as configuring writes it. */
  files: FileWrite[];
  /** What puts back a generation that was taken in; safe to repeat, also after it was cut off. */
  putBack(generation: string): { command: string; timeoutS: number } & Pick<Step, 'failures'>;
  /** Accounts that a fresh node has none of: where there are any, somebody lives there. */
  accounts: Fact<string[]>;
  configure: Configure;
}

/** What a kind's backups bring besides their archives. */
export interface RestorableFiles {
  /** Of the shell's. */
  patterns: string[];
  /** Where the campaign's certificate and its key are among them, if the nodes serve it. */
  certificate?: [certificate: string, key: string];
  /** What no backup of such a node holds, in words. */
  leftOut: string;
}

interface Kind {
  wanted(kit: Kit, campaign: Campaign, secrets: NodeSecrets): Wanted;
  inspection(campaign: Campaign): Inspection;
  /** Where its nodes can obtain certificates by themselves: at any ACME server, or at these. */
  acme?: 'any' | string[];
  handover(campaign: Campaign): Handover;
  restore: {
    files(kit: Kit, campaign: Campaign): RestorableFiles;
    of(kit: Kit, campaign: Campaign, secrets: RestoredSecrets): Restoration;
  };
}

const kinds: Record<string, Kind> = {
  freedombox: {
    wanted: (...of) => wantedOf(freedombox, freedomboxDesired(...of)),
    inspection: () => freedomboxInspection,
    handover: () => freedomboxHandover,
    restore: {
      files: () => freedomboxRestorable,
      of: (kit, campaign, secrets) =>
        freedomboxRestoration(freedomboxHome(kit, campaign, secrets)),
    },
  },
  snac: {
    wanted: (...of) => wantedOf(snac, snacDesired(...of)),
    inspection: snacInspection,
    acme: 'any',
    handover: () => snacHandover,
    restore: {
      files: () => snacRestorable,
      of: (kit, campaign, secrets) => snacRestoration(snacHome(kit, campaign, secrets)),
    },
  },
  yunohost: {
    wanted: (...of) => wantedOf(yunohost, yunohostDesired(...of)),
    inspection: yunohostInspection,
    acme: [letsencryptDirectory],
    handover: yunohostHandover,
    restore: {
      files: yunohostRestorable,
      of: (kit, campaign, secrets) =>
        yunohostRestoration(yunohostHome(kit, campaign, secrets)),
    },
  },
};

function wantedOf<Desired, Facts>(kind: NodeKind<Desired, Facts>, desired: Desired): Wanted {
  return {
    configure: (options) => configureNode(kind, desired, options),
    left: (at) => stepsLeft(kind, desired, at),
  };
}

/** What configures this kit's node. @throws KitError `kind-unknown`, `acme-unknown` */
export function configurerOf(kit: Kit, campaign: Campaign, secrets: NodeSecrets): Configure {
  return wantedFor(kit, campaign, secrets).configure;
}

/** What configuring would do on this kit's node. @throws KitError as {@link configurerOf} */
export function leftOf(kit: Kit, campaign: Campaign, secrets: NodeSecrets): Wanted['left'] {
  return wantedFor(kit, campaign, secrets).left;
}

function wantedFor(kit: Kit, campaign: Campaign, secrets: NodeSecrets): Wanted {
  const { acme, wanted } = kindOf(campaign);
  if (campaign.acme !== undefined) refuseAcme(campaign.image, campaign.acme, acme);
  return wanted(kit, campaign, secrets);
}

/** A setting that nothing reads would be dropped without a word. */
function refuseAcme(image: string, asked: Acme, known: Kind['acme']): void {
  if (known === 'any') return;
  const refused = (parts: { expected: string; got: string; hint: string }): KitError =>
    new KitError({
      code: 'acme-unknown',
      message: `Nobody has taught kit to have “${image}” obtain certificates so`,
      ...parts,
      exitCode: 2,
    });
  if (known === undefined) {
    throw refused({
      ...{ expected: 'no [certificates] in the campaign', got: asked.directory },
      hint: 'Leave it out. A FreedomBox’s owner has it obtain one on its page.',
    });
  }
  if (!known.includes(asked.directory)) {
    const expected = `acme = "${known.join('" or "')}"`;
    throw refused({ expected, got: asked.directory, hint: `It asks no other authority.` });
  }
  if (asked.contact !== undefined) {
    const hint = 'Leave it out: it tells the authority no address.';
    throw refused({ expected: 'no contact in [certificates]', got: asked.contact, hint });
  }
}

/** What to look at on a campaign's nodes. @throws KitError `kind-unknown` */
export function inspectionOf(campaign: Campaign): Inspection {
  return kindOf(campaign).inspection(campaign);
}

/** What a campaign's nodes take to become their owners'. @throws KitError `kind-unknown` */
export function handoverOf(campaign: Campaign): Handover {
  return kindOf(campaign).handover(campaign);
}

/** What brings this kit's node back. @throws KitError `kind-unknown` */
export function restorationOf(kit: Kit, campaign: Campaign, secrets: RestoredSecrets): Restoration {
  return kindOf(campaign).restore.of(kit, campaign, secrets);
}

/** What a backup of this kit's node brings besides its archives. @throws KitError `kind-unknown` */
export function restorableFiles(kit: Kit, campaign: Campaign): RestorableFiles {
  return kindOf(campaign).restore.files(kit, campaign);
}

function kindOf(campaign: Campaign): Kind {
  const kind = kinds[campaign.image];
  if (kind !== undefined) return kind;
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
export function addressOf(kit: Kit, secrets: RestoredSecrets): NodeAddress {
  return {
    host: kit.address,
    port: kit.sshPort,
    hostKeyLine: secrets.kit.sshHostKey.publicLine,
    loginKeyPem: secrets.campaign.benchLogin.privatePem,
  };
}
