// campaign.toml: what a volunteer edits. One barn-raising: the community, where its meters report,
// the image, and a [[kit]] for every home. This file owns the format: parsing and checking it.
// It holds no secrets, and reading it changes nothing.

import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { parse, TomlError } from 'smol-toml';
import * as v from 'valibot';

import { KitError, systemWords } from '../errors.ts';
import { acmeDirectory, address, country, domainName, emailAddress, hostLabel } from './names.ts';
import { ipAddress, language } from './names.ts';
import { imageSigner, ledgerKey, ledgerOrigin, ledgerUrl, port } from './names.ts';
import { prefixedAddress, ssid, timeZone, title, userName } from './names.ts';

/** How much of a kit's readings the ledger discloses: nothing, every batch, or the last of each. */
export const publishChoices = ['none', 'batch', 'hour', 'day'] as const;
export type Publish = (typeof publishChoices)[number];

const wifiSchema = v.strictObject({ ssid, country });

/** An address of the node's own, where the home's router is not to choose one; and the radio. */
const networkSchema = v.pipe(
  v.strictObject({
    address: v.optional(prefixedAddress),
    gateway: v.optional(ipAddress),
    dns: v.optional(v.pipe(v.array(ipAddress), v.minLength(1), v.maxLength(4))),
    wifi: v.optional(wifiSchema),
  }),
  v.check(({ address, gateway, dns, wifi }) => {
    const parts = [address, gateway, dns].filter((part) => part !== undefined).length;
    return parts === 3 || (parts === 0 && wifi !== undefined);
  }, 'address, gateway and dns together, or wifi, or all of them'),
);

const kitSchema = v.strictObject({
  name: hostLabel,
  domain: domainName,
  owner: userName,
  language: v.optional(language, 'en'),
  network: v.optional(v.union([v.literal('dhcp'), networkSchema]), 'dhcp'),
  publish: v.optional(v.picklist(publishChoices), 'day'),
  address: v.optional(address),
  ssh_port: v.optional(port, 22),
});

/** What a YunoHost serves the fediverse with: applications of YunoHost's own catalogue. */
export const yunohostApps = ['snac', 'gotosocial'] as const;
export type YunohostApp = (typeof yunohostApps)[number];

const yunohostDefaults = { app: 'snac' } as const;

const yunohostSchema = v.strictObject({
  app: v.optional(v.picklist(yunohostApps), yunohostDefaults.app),
});

/** Keys that are said in another way now. */
const moved: Record<string, string> = {
  'yunohost.certificate':
    'Say it for any image: `[certificates]`, then `acme = "https://…"` (docs/campaign.md). ' +
    'Without it the campaign’s own authority certifies.',
};

const certificatesSchema = v.strictObject({
  acme: acmeDirectory,
  contact: v.optional(emailAddress),
});

const campaignSchema = v.strictObject({
  name: title,
  ledger: ledgerUrl,
  ledger_origin: ledgerOrigin,
  ledger_key: v.optional(ledgerKey),
  image: hostLabel,
  arch: v.picklist(['amd64', 'arm64']),
  timezone: timeZone,
  ca_domains: v.optional(v.array(domainName), []),
  image_signers: v.optional(v.array(imageSigner), []),
  certificates: v.optional(v.union([v.literal('campaign'), certificatesSchema]), 'campaign'),
  contact: v.optional(title),
  yunohost: v.optional(yunohostSchema),
  kit: v.pipe(v.array(kitSchema), v.minLength(1), v.maxLength(1000)),
});

export interface Network {
  /** Undefined: by DHCP. */
  fixed?: FixedAddress;
  /** Undefined: by cable. Its passphrase is a secret of the kit's. */
  wifi?: Wifi;
}

export interface FixedAddress {
  /** With its prefix. */
  address: string;
  gateway: string;
  dns: string[];
}

export interface Wifi {
  ssid: string;
  /** ISO 3166: whose rules for radio hold. */
  country: string;
}

export interface Kit {
  /** A DNS label: also the node's host name. */
  name: string;
  domain: string;
  /** The owner's user name on the node. */
  owner: string;
  language: string;
  network: Network;
  publish: Publish;
  /** Where the bench reaches the node by SSH: the domain unless the campaign says otherwise. */
  address: string;
  sshPort: number;
}

export interface YunohostChoices {
  app: YunohostApp;
}

export interface Campaign {
  name: string;
  /** Base URL, without a slash at the end. */
  ledger: string;
  ledgerOrigin: string;
  /** The verifier key of the ledger's log; undefined: nobody vouched for one. */
  ledgerKey?: string;
  image: string;
  arch: 'amd64' | 'arm64';
  timezone: string;
  /** Further domains that the campaign's authority may certify, besides those of the kits. */
  caDomains: string[];
  /** `NAME ssh-ed25519 KEY` of those whose images are written; empty: anybody's. */
  imageSigners: string[];
  /** Where nodes obtain certificates by themselves; undefined: the campaign makes them. */
  acme?: { directory: string; contact?: string };
  /** Whom owners call: printed on their leaflets. */
  contact?: string;
  /** What is to choose of a YunoHost; of no other image. */
  yunohost: YunohostChoices;
  kits: Kit[];
  /** The file, as an absolute path, and the folder where bench.db and secrets/ stand beside it. */
  file: string;
  dir: string;
}

/** @throws KitError `campaign-unreadable`, and those of {@link parseCampaign} */
export async function readCampaign(file: string): Promise<Campaign> {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new KitError({
      code: 'campaign-unreadable',
      message: 'The campaign file could not be read',
      expected: `a campaign at ${resolve(file)}`,
      got: systemWords(cause),
      hint: 'Run `kit new` to write one, or name another with --campaign FILE.',
      exitCode: 2,
      cause,
    });
  });
  return parseCampaign(text, file);
}

/**
 * @param file names the campaign in errors, and places `dir`
 * @throws KitError `campaign-not-toml`, `campaign-invalid`, `campaign-duplicate`; all exit 2
 */
export function parseCampaign(text: string, file: string): Campaign {
  const raw = check(parseToml(text, file), file);
  if (raw.yunohost !== undefined && raw.image !== 'yunohost') throw idleTable(raw.image, file);
  const path = resolve(file);
  const kits = raw.kit.map(({ ssh_port: sshPort, network, ...kit }) => ({
    ...kit,
    network: networkOf(network),
    address: kit.address ?? kit.domain,
    sshPort,
  }));
  refuseDuplicates(kits, file);
  return {
    name: raw.name,
    ledger: raw.ledger.replace(/\/+$/, ''),
    ledgerOrigin: raw.ledger_origin,
    ...(raw.ledger_key !== undefined && { ledgerKey: raw.ledger_key }),
    image: raw.image,
    arch: raw.arch,
    timezone: raw.timezone,
    caDomains: raw.ca_domains,
    imageSigners: raw.image_signers,
    ...(raw.certificates !== 'campaign' && { acme: acmeOf(raw.certificates) }),
    ...(raw.contact !== undefined && { contact: raw.contact }),
    yunohost: raw.yunohost ?? yunohostDefaults,
    kits,
    file: path,
    dir: dirname(path),
  };
}

function networkOf(raw: v.InferOutput<typeof kitSchema>['network']): Network {
  if (raw === 'dhcp') return {};
  const { address, gateway, dns, wifi } = raw;
  const isFixed = address !== undefined && gateway !== undefined && dns !== undefined;
  return { ...(isFixed && { fixed: { address, gateway, dns } }), ...(wifi && { wifi }) };
}

function acmeOf({ acme: directory, contact }: v.InferOutput<typeof certificatesSchema>) {
  return { directory, ...(contact !== undefined && { contact }) };
}

/** @throws KitError `unknown-kit` */
export function findKit(campaign: Campaign, name: string): Kit {
  const kit = campaign.kits.find((candidate) => candidate.name === name);
  if (kit !== undefined) return kit;
  throw new KitError({
    code: 'unknown-kit',
    message: `The campaign has no kit called ${JSON.stringify(name)}`,
    expected: `one of ${campaign.kits.map((known) => known.name).join(', ')}`,
    got: name,
    hint: `Check the spelling, or add a [[kit]] to ${campaign.file}.`,
    exitCode: 2,
  });
}

function parseToml(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    throw new KitError({
      code: 'campaign-not-toml',
      message: `${file}, line ${cause.line}: this is not TOML`,
      expected: 'lines such as name = "Riverside", and [[kit]] before each kit',
      got: firstLine(cause.message),
      hint: `Mend line ${cause.line}, column ${cause.column}.`,
      exitCode: 2,
      cause,
    });
  }
}

function check(raw: unknown, file: string): v.InferOutput<typeof campaignSchema> {
  const outcome = v.safeParse(campaignSchema, raw);
  if (outcome.success) return outcome.output;
  throw invalid(deepest(outcome.issues[0]), file);
}

/** Of a union's ways of failing (`network`), the one that got furthest says most. */
function deepest(issue: v.BaseIssue<unknown>): v.BaseIssue<unknown> {
  const inner = issue.issues?.find((candidate) => (candidate.path?.length ?? 0) > 0);
  if (inner === undefined || issue.type !== 'union') return issue;
  return deepest({ ...inner, path: [...(issue.path ?? []), ...inner.path!] as typeof issue.path });
}

function invalid(issue: v.BaseIssue<unknown>, file: string): KitError {
  const key = keyName(issue);
  const unknown = issue.expected === 'never';
  const missing = issue.received === 'undefined';
  const message = unknown ? `${file}: unknown key ${key}` : `${file}: ${key} is not right`;
  return new KitError({
    code: 'campaign-invalid',
    message: missing ? `${file}: ${key} is missing` : message,
    expected: unknown ? 'only the keys that docs/campaign.md names' : expectation(issue),
    got: missing ? 'nothing' : shown(unknown ? issue.path?.at(-1)?.key : issue.input),
    hint: moved[key] ?? (unknown ? `Remove ${key}, or check its spelling.` : `Set ${key} in ${file}.`),
    exitCode: 2,
  });
}

/** `kit[2].domain`, counted from 1 as a person counts [[kit]] headings. */
function keyName(issue: v.BaseIssue<unknown>): string {
  return (issue.path ?? [])
    .map(({ key }) => (typeof key === 'number' ? `[${key + 1}]` : `.${String(key)}`))
    .join('')
    .replace(/^\./, '');
}

/** Our own checks say what they expect as their message; valibot's types say it in `expected`. */
function expectation(issue: v.BaseIssue<unknown>): string {
  const ours = issue.kind === 'validation' && !issue.message.startsWith('Invalid');
  return ours ? issue.message : (issue.expected ?? issue.message);
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

/** A setting that nothing reads would be dropped without a word. */
function idleTable(image: string, file: string): KitError {
  return new KitError({
    code: 'campaign-invalid',
    message: `${file}: [yunohost] says nothing about this image`,
    expected: 'image = "yunohost", or no [yunohost]',
    got: `image = ${JSON.stringify(image)}`,
    hint: `Remove [yunohost] from ${file}, or change image.`,
    exitCode: 2,
  });
}

function refuseDuplicates(kits: Kit[], file: string): void {
  for (const key of ['name', 'domain'] as const) {
    const seen = new Map<string, number>();
    kits.forEach((kit, at) => {
      const before = seen.get(kit[key]);
      if (before !== undefined) throw duplicate({ file, key, value: kit[key], before, at });
      seen.set(kit[key], at);
    });
  }
}

function duplicate(found: {
  file: string;
  key: 'name' | 'domain';
  value: string;
  before: number;
  at: number;
}): KitError {
  const { file, key, value, before, at } = found;
  return new KitError({
    code: 'campaign-duplicate',
    message: `${file}: kit[${at + 1}].${key} is taken already`,
    expected: `a ${key} of its own for every kit`,
    got: `${JSON.stringify(value)}, which kit[${before + 1}] has too`,
    hint: `Give one of the two another ${key}.`,
    exitCode: 2,
  });
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0];
}
