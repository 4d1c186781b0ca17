// Whether a backup is this very kit's, as the bench knows it; and the identity in it, in the shapes
// that flashing and configuring take. Pure.

import { matchesGlob } from 'node:path';

import type { Campaign, Kit } from '../campaign/campaign.ts';
import type { TlsCredential } from '../campaign/certificate.ts';
import { readSshKey, type SshKey } from '../campaign/ssh-key.ts';
import { KitError } from '../errors.ts';
import { hostKeyPath } from '../node/part/kit-json.ts';
import type { RestorableFiles } from '../node/kinds.ts';
import type { IdentityFile, KitJson } from './kit-json.ts';

/** What a backup gives back besides its archives. */
export interface HomeIdentity {
  sshHostKey: SshKey;
  /** Undefined: such a node obtains its own, and the backup brings that with all else. */
  tls: TlsCredential | undefined;
  /** All others, as they stood: recovery codes' hashes, ACME's account and certificates. */
  files: IdentityFile[];
  /** Whether the owner had been given the login and the codes. */
  handedOver: boolean;
}

/** The stamps of grant.ts, which the backup of a kit that was handed over holds. */
const granted = (owner: string): string[] => [`login-${owner}`, 'recovery-codes'];

export interface Known {
  kit: Kit;
  campaign: Campaign;
  /** Fingerprint of the node's host key as the bench knows it; undefined: it knows none. */
  known: string | undefined;
  /** What a backup of such a node brings; it may not bring others. */
  brought: RestorableFiles;
}

/**
 * @throws KitError `backup-other-kind`, `backup-wrong-kit`, `backup-wrong-domain`,
 *   `backup-wrong-owner`, `backup-incomplete`
 */
export function identityOf(
  backup: KitJson,
  { kit, campaign, known, brought }: Known,
): HomeIdentity {
  const { file } = campaign;
  refuseOther('other-kind', [campaign.image, backup.kind], `Mend image in ${file}, or take ${its}.`);
  refuseOther('wrong-kit', [kit.name, backup.kit], `Name the kit that it is of, or take ${its}.`);
  const domain = `A domain cannot change under its users: put the old one back in ${file}.`;
  refuseOther('wrong-domain', [kit.domain, backup.domain], domain);
  const owner = `Accounts cannot be renamed: put the old owner back in ${file}.`;
  refuseOther('wrong-owner', [kit.owner, backup.owner], owner);
  const isBrought = (path: string) => brought.patterns.some((one) => matchesGlob(path, one));
  const strange = backup.identity.find(({ path }) => !isBrought(path));
  if (strange !== undefined) throw incomplete(`${strange.path}, which is none of its files`);
  const identity = readIdentity(backup, brought);
  const { fingerprint } = identity.sshHostKey;
  // Another campaign may have a kit of this name.
  const namesake = `It is of another node of that name: take ${its}.`;
  refuseOther('wrong-kit', [known ?? fingerprint, fingerprint], namesake);
  return identity;
}

const its = 'this kit’s own';

function refuseOther(what: string, [expected, got]: [string, string], hint: string): void {
  if (expected === got) return;
  const message = `The backup is of another ${what.replace(/^.*-/, '')}`;
  throw new KitError({ code: `backup-${what}`, message, expected, got, hint, exitCode: 2 });
}

function readIdentity(backup: KitJson, { certificate: paths }: RestorableFiles): HomeIdentity {
  const special = [hostKeyPath, ...(paths ?? [])];
  const [hostKey, certificatePem, keyPem] = special.map((path) =>
    backup.identity.find((file) => file.path === path)?.content.toString('utf8'));
  const isCertified = certificatePem && keyPem;
  if (!hostKey || (paths && !isCertified)) throw incomplete('one of them is missing');
  const sshHostKey = readSshKey(hostKey);
  if (sshHostKey === undefined) throw incomplete('a host key that is none');
  const ours = [backup.owner, 'root'];
  const strangers = Object.keys(backup.logins).filter((user) => !ours.includes(user));
  if (strangers.length > 0) throw incomplete(`a login for ${strangers.join(', ')}`);
  return {
    sshHostKey,
    tls: isCertified ? { certificatePem, keyPem } : undefined,
    files: backup.identity.filter(({ path }) => !special.includes(path)),
    handedOver: granted(backup.owner).every((stamp) => backup.once.includes(stamp)),
  };
}

function incomplete(got: string): KitError {
  return new KitError({
    code: 'backup-incomplete',
    message: 'The backup does not hold just what makes a drive this home',
    expected: 'an SSH host key, a certificate and its key',
    got,
    hint: 'Take an earlier generation: name its folder with --from.',
  });
}
