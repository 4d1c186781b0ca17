// What each kind of name in a campaign may look like, each rule with what it expects in words.
// Names go into file names, unit files and command lines later: all are narrow on purpose.
// Pure: nothing is looked up.

import { isIP } from 'node:net';

import * as v from 'valibot';

import { parseLogKey } from './log-key.ts';

/** RFC 1123 § 2.1, at most 63 characters (RFC 1035 § 2.3.4); lower case, to be one spelling. */
const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

const isDomain = (text: string): boolean =>
  text.length <= 253 &&
  text.includes('.') &&
  text.split('.').every((part) => label.test(part)) &&
  !/^[0-9]+$/.test(text.slice(text.lastIndexOf('.') + 1));

export const hostLabel = rule(
  (text) => label.test(text),
  'a DNS label: lower-case letters, digits and hyphens, at most 63, no hyphen at either end',
);

export const domainName = rule(
  isDomain,
  'a domain such as alice.example.org, in lower case (xn--… for other scripts)',
);

/** Debian's adduser takes up to 32 characters of this shape. */
export const userName = rule(
  (text) => /^[a-z][a-z0-9_]{0,31}$/.test(text) && text !== 'root',
  'a user name: a lower-case letter, then letters, digits or _, at most 32, not root',
);

export const title = rule(
  (text) => /^[^\p{Cc}]{1,100}$/u.test(text) && text.trim() === text && text !== '',
  'a name of 1 to 100 characters on one line, without spaces at its ends',
);

export const language = rule(
  (text) => /^[a-z]{2,3}(-[A-Z]{2})?$/.test(text),
  'a language such as "en" or "pt-BR"',
);

export const timeZone = rule(
  (text) => /^[A-Za-z0-9_+-]+(\/[A-Za-z0-9_+-]+)*$/.test(text) && isTimeZone(text),
  'a time zone such as "Europe/Vienna"',
);

export const ipAddress = rule((text) => isIP(text) !== 0, 'an IPv4 or IPv6 address');

/** Where SSH reaches a node: scoped addresses (fe80::1%eth0) are left out, as ssh2 lacks them. */
export const address = rule(
  (text) => isIP(text) !== 0 || label.test(text) || isDomain(text),
  'a host name or an IP address',
);

export const prefixedAddress = rule((text) => {
  const [ip, prefix, ...rest] = text.split('/');
  const bits = isIP(ip) === 6 ? 128 : 32;
  return isIP(ip) !== 0 && rest.length === 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= bits;
}, 'an address with its prefix such as "192.168.1.10/24"');

/** IEEE 802.11-2020 § 9.4.2.2: up to 32 octets; control characters would be lost on the way. */
export const ssid = rule(
  (text) => /^[^\p{Cc}]+$/u.test(text) && Buffer.byteLength(text) <= 32,
  'the name of a Wi-Fi network: 1 to 32 bytes, as the router has it',
);

export const country = rule(
  (text) => /^[A-Z]{2}$/.test(text),
  'a country as two capitals, such as "AT"',
);

export const ledgerUrl = rule((text) => {
  const url = URL.parse(text);
  const plain = url !== null && url.search === '' && url.hash === '' && url.username === '';
  return plain && ['http:', 'https:'].includes(url.protocol) && !/\s/.test(text);
}, 'an http:// or https:// address without user, query or fragment');

/** RFC 8555 § 7.1.1: the one URL that an ACME client is given. */
export const acmeDirectory = rule((text) => {
  const url = URL.parse(text);
  return url !== null && url.protocol === 'https:' && url.username === '' && /^[!-~]+$/.test(text);
}, 'the https:// address of an ACME directory');

/** RFC 8555 § 7.3: a mailto address; narrower than RFC 5321, as it goes into a program. */
export const emailAddress = rule(
  (text) => /^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,190}$/.test(text) && !text.startsWith('-'),
  'an e-mail address such as certificates@example.org',
);

/** C2SP tlog-checkpoint: the origin is one line, "a schema-less URL" by recommendation. */
export const ledgerOrigin = rule(
  (text) => /^[!-~]{1,200}$/.test(text) && !text.includes('+'),
  'an origin such as "ledger.example.org/commons": printable, without spaces or plus signs',
);

/** What the campaign holds of the ledger's log, so that the log need not be believed. */
export const ledgerKey = rule(
  (text) => parseLogKey(text) !== undefined,
  'the log’s verifier key, such as "ledger.example.org/commons+0123abcd+AQ…"',
);

export const port = v.pipe(
  v.number(),
  v.check((value) => Number.isInteger(value) && value > 0 && value < 65536, 'a port, 1 to 65535'),
);

function rule(holds: (text: string) => boolean, expected: string) {
  return v.pipe(v.string(), v.check(holds, expected));
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** Whose signature on images counts: `NAME ssh-ed25519 BASE64` (RFC 8709 § 4: 51 bytes). */
export const imageSigner = v.pipe(
  v.string(),
  v.regex(
    /^[^\s"]{1,64} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{43}( .{0,64})?$/,
    'NAME ssh-ed25519 KEY, as `kit image signer` prints it',
  ),
);
