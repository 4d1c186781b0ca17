// The campaign's certificate authority among those that the node trusts. Pure.

import type { Fact } from '../fact.ts';
import { writeFiles, type FileStates } from '../operation/files.ts';
import type { FileWrite, Step } from '../step.ts';

/** The first boot writes the same file. @param caCertificate PEM */
export function caFile(caCertificate: string): FileWrite {
  return {
    path: '/usr/local/share/ca-certificates/campaign.crt',
    mode: '0644',
    owner: 'root:root',
    content: caCertificate,
  };
}

/** The authority is in the bundle that the node's programs read. @param caCertificate PEM */
export function caTrusted(caCertificate: string): Fact<boolean> {
  return {
    script: `tr -d '\\n' </etc/ssl/certs/ca-certificates.crt |
  grep -qF ${pemBody(caCertificate)}`,
    parse: (_, exitCode) => exitCode === 0,
  };
}

/**
 * snac verifies other servers' TLS: this is its one way of trusting the campaign (FACTS). The first
 * boot has done it already, unless the authority was made anew since: going through all of Debian's
 * authorities again takes a minute on an emulated node.
 */
export function trustSteps(
  file: FileWrite,
  facts: { files: FileStates; caTrusted: boolean },
): Step[] {
  const written = writeFiles('Write the campaign’s certificate authority', [file], facts.files);
  if (facts.caTrusted) return written;
  return [
    ...written,
    {
      name: 'Trust the campaign’s certificate authority',
      because: 'it is not among the trusted ones',
      command: 'update-ca-certificates >/dev/null',
      timeoutS: 300,
    },
  ];
}

/** Base64 alone: safe as a word of the shell, and as a bundle has it without its line ends. */
function pemBody(pem: string): string {
  return pem.replace(/-----[A-Z ]+-----|[^A-Za-z0-9+/=]/g, '');
}
