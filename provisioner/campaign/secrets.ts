// The campaign's secrets, made once and kept age-encrypted to the volunteer: secrets/NAME.age for
// each kit, secrets/_campaign.age for what the bench itself needs (no kit's name can begin with an
// underscore). The authority's certificate stands in the open beside them, as ca.crt. This file
// owns both formats (JSON within age). NAME.erased says that a kit's were erased, and when. Secrets leave it as values only: never by a command line, a
// log or an error's text.

import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Decrypter, Encrypter } from 'age-encryption';
import * as v from 'valibot';

import { KitError } from '../errors.ts';
import type { Campaign, Kit } from './campaign.ts';
import { covers, permittedSubtrees, readCertificate, readSubtrees } from './certificate.ts';
import type { TlsCredential } from './certificate.ts';
import { createDurably, eraseDurably, replaceDurably } from './durable.ts';
import type { RandomSource, VolunteerIdentity } from './identity.ts';
import { makeOwnerKey } from './owner-key.ts';
import { passphraseBytes, proquint } from './passphrase.ts';
import { makeSshKey, type SshKey } from './ssh-key.ts';

export interface KitSecrets {
  /** The node's own, made before its first boot so that the bench can pin it. */
  sshHostKey: SshKey;
  /** What the owner types first. */
  ownerPassphrase: string;
  /** For the kit's domain, by the campaign's authority. */
  tls: TlsCredential;
  /** 32 bytes, shared by meter and ledger: tags the ledger's replies. */
  pairingKey: Uint8Array;
  /** 32 bytes: the meter's enrolment statement repeats it. */
  enrolNonce: Uint8Array;
  /** Of the home's Wi-Fi, where somebody gave it: the one secret that is not made here. */
  wifi?: { ssid: string; passphrase: string };
  /** Of other networks that the home's meter may join when that one stays away. */
  moreWifi?: { ssid: string; passphrase: string }[];
  /** Words of owner-key.ts. Secrets made before there were such keys lack it until pairing. */
  ownerKey?: string;
  /** Once the kit's leaflet was made. */
  leaflet?: LeafletSecrets;
}

/** What is printed besides the passphrase for its owner alone, and nowhere else. */
export interface LeafletSecrets {
  recoveryCodes: string[];
  /** Typed back at the bench: somebody has the paper in hand. */
  printWord: string;
}

export interface CampaignSecrets {
  /** The bench's way into every node, until hand-over. */
  benchLogin: SshKey;
  /** ca.crt: PEM, public; what nodes and the bench trust. */
  caCertificatePem: string;
}

export interface SecretsDeps {
  random: RandomSource;
  now: () => number;
}

export interface Secrets {
  campaign(): Promise<CampaignSecrets>;
  /**
   * The same at every call; but a certificate near its end, or for an old domain, is renewed.
   * @throws KitError `kit-handed-over` when they were erased
   */
  kit(kit: Kit): Promise<KitSecrets>;
  /** Keeps what opens the kit's Wi-Fi, instead of any before. */
  keepWifi(kit: Kit, wifi: { ssid: string; passphrase: string }): Promise<void>;
  /** Keeps other networks for the kit's meter, instead of any before. */
  keepMoreWifi(kit: Kit, networks: { ssid: string; passphrase: string }[]): Promise<void>;
  /** What the kit's owner will ask the ledger with: made now for secrets that lack it. */
  ownerKey(kit: Kit): Promise<string>;
  /** What `make` gave when it was first asked for this kit's. */
  leaflet(kit: Kit, make: () => LeafletSecrets): Promise<LeafletSecrets>;
  /**
   * Overwrites and removes all that is kept of a kit, for ever: `kit` throws from then on. May be
   * done again after having been cut off.
   */
  erase(kit: Kit): Promise<void>;
  isErased(kit: Kit): Promise<boolean>;
  /** Whether there are any of this kit; makes none. */
  isKept(kit: Kit): Promise<boolean>;
  /** A key and certificate for a further domain; kept nowhere. @throws KitError `domain-outside` */
  issueCertificate(domain: string): Promise<TlsCredential>;
}

const textSchema = v.pipe(v.string(), v.nonEmpty());
const bytesSchema = v.pipe(
  v.string(),
  v.transform((text) => new Uint8Array(Buffer.from(text, 'base64'))),
  v.check((bytes) => bytes.length === 32),
);
const sshSchema = v.strictObject({
  privatePem: textSchema,
  publicLine: textSchema,
  fingerprint: textSchema,
});
const networkSchema = v.strictObject({ ssid: textSchema, passphrase: textSchema });
const kitSchema = v.strictObject({
  format: v.literal(1),
  sshHostKey: sshSchema,
  ownerPassphrase: textSchema,
  tls: v.strictObject({ keyPem: textSchema, certificatePem: textSchema }),
  pairingKey: bytesSchema,
  enrolNonce: bytesSchema,
  wifi: v.optional(networkSchema),
  moreWifi: v.optional(v.array(networkSchema)),
  ownerKey: v.optional(textSchema),
  leaflet: v.optional(
    v.strictObject({ recoveryCodes: v.array(textSchema), printWord: textSchema }),
  ),
});
const campaignSchema = v.strictObject({
  format: v.literal(1),
  benchLogin: sshSchema,
  caKeyPem: textSchema,
});

/** A certificate is renewed this long before its end: a kit leaves its bench with five years at least. */
const renewalMs = 5 * 365 * 86_400_000;
/** A secrets file is about 3 KB. */
const maxFileBytes = 65_536;

/** Opens nothing yet: each file is made or read when it is first asked for. */
export function openSecrets(
  campaign: Campaign,
  identity: VolunteerIdentity,
  deps: SecretsDeps,
): Secrets {
  const folder = join(campaign.dir, 'secrets');
  const vault = { folder, identity };
  const caFile = join(campaign.dir, 'ca.crt');

  const loadCampaign = () =>
    once(vault, '_campaign', campaignSchema, async () => ({
      format: 1 as const,
      benchLogin: makeSshKey(`bench of ${asciiOf(campaign.name)}`, deps.random),
      caKeyPem: (await import('./ca.ts')).makeKey(deps.random),
    }));

  const authority = async (): Promise<TlsCredential> => {
    const { caKeyPem: keyPem } = await loadCampaign();
    const certificatePem = await caCertificate(caFile, campaign, { ...deps, keyPem });
    return { keyPem, certificatePem };
  };

  const issueCertificate = async (domain: string): Promise<TlsCredential> => {
    const issuer = await authority();
    if (!covers(readSubtrees(issuer.certificatePem), domain)) throw outside(domain, campaign);
    const { certify, makeKey } = await import('./ca.ts');
    return certify(domain, issuer, { ...deps, keyPem: makeKey(deps.random) });
  };

  const erasedMark = (kit: Kit): string => join(folder, `${kit.name}.erased`);
  const isErased = async (kit: Kit): Promise<boolean> => (await read(erasedMark(kit))) !== undefined;

  const kitSecrets = async (kit: Kit): Promise<KitSecrets> => {
    if (await isErased(kit)) throw handedOver(kit, erasedMark(kit));
    const stored = await once(vault, kit.name, kitSchema, async () => ({
      format: 1 as const,
      sshHostKey: makeSshKey(`host key of ${kit.name}`, deps.random),
      ownerPassphrase: proquint(deps.random(passphraseBytes)),
      tls: await issueCertificate(kit.domain),
      pairingKey: base64(deps.random(32)),
      enrolNonce: base64(deps.random(32)),
      ownerKey: makeOwnerKey(deps.random),
    }));
    const { format: _format, ...secrets } = stored;
    if (isFresh(secrets.tls, kit.domain, deps.now())) return secrets;
    return keep(vault, kit, { ...secrets, tls: await issueCertificate(kit.domain) });
  };

  return {
    issueCertificate,
    kit: kitSecrets,
    async campaign() {
      const { benchLogin } = await loadCampaign();
      return { benchLogin, caCertificatePem: (await authority()).certificatePem };
    },
    isErased,
    async ownerKey(kit) {
      const known = await kitSecrets(kit);
      const made = async () => keep(vault, kit, { ...known, ownerKey: makeOwnerKey(deps.random) });
      return known.ownerKey ?? (await made()).ownerKey!;
    },
    isKept: async (kit) => (await read(pathIn(vault, kit.name))) !== undefined,
    async leaflet(kit, make) {
      const known = await kitSecrets(kit);
      return known.leaflet ?? (await keep(vault, kit, { ...known, leaflet: make() })).leaflet!;
    },
    async erase(kit) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      // The mark first: cut off in between, the secrets are as good as gone, and never made anew.
      await createDurably(erasedMark(kit), `${new Date(deps.now()).toISOString()}\n`);
      // What a writer that was killed left under another name goes too (durable.ts).
      const left = (await readdir(folder)).filter((name) => name.startsWith(`.${kit.name}.age.`));
      for (const name of left) await eraseDurably(join(folder, name));
      await eraseDurably(pathIn(vault, kit.name));
    },
    async keepWifi(kit, wifi) {
      await keep(vault, kit, { ...(await kitSecrets(kit)), wifi });
    },
    async keepMoreWifi(kit, moreWifi) {
      await keep(vault, kit, { ...(await kitSecrets(kit)), moreWifi });
    },
  };
}

async function keep(vault: Vault, kit: Kit, secrets: KitSecrets): Promise<KitSecrets> {
  await replaceDurably(pathIn(vault, kit.name), await seal(vault, toJson(secrets)), 0o600);
  return secrets;
}

interface Vault {
  folder: string;
  identity: VolunteerIdentity;
}

/** Reads a secrets file, making it first when there is none: two makers end with one set. */
async function once<T extends v.GenericSchema>(
  vault: Vault,
  name: string,
  schema: T,
  make: () => v.InferInput<T> | Promise<v.InferInput<T>>,
): Promise<v.InferOutput<T>> {
  const path = pathIn(vault, name);
  const stored = await read(path);
  if (stored !== undefined) return unseal(vault, stored, { path, schema });
  await mkdir(vault.folder, { recursive: true, mode: 0o700 });
  await createDurably(path, await seal(vault, await make()), 0o600);
  return unseal(vault, (await read(path))!, { path, schema });
}

async function read(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
}

async function seal(vault: Vault, value: unknown): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.addRecipient(vault.identity.ageRecipient);
  return encrypter.encrypt(JSON.stringify(value));
}

async function unseal<T extends v.GenericSchema>(
  vault: Vault,
  sealed: Uint8Array,
  { path, schema }: { path: string; schema: T },
): Promise<v.InferOutput<T>> {
  const decrypter = new Decrypter();
  decrypter.addIdentity(vault.identity.ageIdentity);
  if (sealed.length > maxFileBytes) throw unreadable(path, vault, `${sealed.length} bytes`);
  const text = await decrypter.decrypt(sealed, 'text').catch((cause: Error) => {
    throw unreadable(path, vault, cause.message);
  });
  // What is inside is secret: valibot's issues, which quote it, must not reach an error's text.
  const outcome = v.safeParse(schema, JSON.parse(text));
  if (!outcome.success) throw unreadable(path, vault, 'secrets of another format');
  return outcome.output;
}

/** ca.crt: made when missing, and widened by the same key when kits got further domains. */
async function caCertificate(
  file: string,
  campaign: Campaign,
  options: SecretsDeps & { keyPem: string },
): Promise<string> {
  const wanted = [...campaign.kits.map((kit) => kit.domain), ...campaign.caDomains];
  const current = (await read(file))?.toString('utf8');
  const permitted = current === undefined ? [] : readSubtrees(current);
  if (current !== undefined && wanted.every((domain) => covers(permitted, domain))) return current;
  const subtrees = permittedSubtrees([...permitted, ...wanted]);
  const { makeAuthority } = await import('./ca.ts');
  const certificate = await makeAuthority(campaign.name, subtrees, options);
  if (current === undefined) await createDurably(file, certificate);
  else await replaceDurably(file, certificate);
  return (await read(file))!.toString('utf8');
}

/** Whether a certificate is for this domain, and not near its end. */
export function isFresh(tls: TlsCredential, domain: string, nowMs: number): boolean {
  const { domains, notAfterMs } = readCertificate(tls.certificatePem);
  return domains.includes(domain) && notAfterMs - nowMs > renewalMs;
}

function toJson(secrets: KitSecrets): v.InferInput<typeof kitSchema> {
  const { pairingKey, enrolNonce, ...texts } = secrets;
  return {
    format: 1,
    ...texts,
    pairingKey: base64(pairingKey),
    enrolNonce: base64(enrolNonce),
  };
}

function pathIn(vault: Vault, name: string): string {
  return join(vault.folder, `${name}.age`);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

/** Comments in key files stay plain, whatever the community's script. */
function asciiOf(text: string): string {
  return text.replace(/[^ -~]/g, '?');
}

function outside(domain: string, campaign: Campaign): KitError {
  return new KitError({
    code: 'domain-outside',
    message: `The campaign's authority may not certify ${domain}`,
    expected: 'a domain of one of its kits, or one of ca_domains',
    got: domain,
    hint: `Add it to ca_domains in ${campaign.file}.`,
    exitCode: 2,
  });
}

function handedOver(kit: Kit, mark: string): KitError {
  return new KitError({
    code: 'kit-handed-over',
    message: `${kit.name} was handed over, or retired`,
    expected: 'a kit whose secrets the bench still holds',
    got: `erased: ${mark}`,
    hint: 'The bench has nothing left that opens it. Did its drive die: kit restore. A new kit: another name.',
  });
}

function unreadable(path: string, vault: Vault, got: string): KitError {
  return new KitError({
    code: 'secrets-unreadable',
    message: `${path} could not be opened`,
    expected: `secrets encrypted to ${vault.identity.publicKeyText} (${vault.identity.file})`,
    got,
    hint: 'Use the volunteer key that made this campaign: --identity FILE.',
  });
}
