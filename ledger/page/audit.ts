// How to check the ledger without trusting it: the commands, the key, and the checkpoint as served.

import { html } from 'hono/html';
import type { Html } from './format.ts';

export interface AuditOptions {
  /** Where this page was asked for: scheme and host. */
  base: string;
  vkey: string;
  /** The signed note as served, or null before the first entry. */
  checkpoint: string | null;
}

export function auditPage({ base, vkey, checkpoint }: AuditOptions): Html {
  return html`<h1>Audit</h1>
<p class="lead">You need not believe these pages. Every figure comes from batches that meters
signed, and every batch is committed to a public log that can only grow. Anybody can check the whole of it,
from its public files alone.</p>
<ol class="steps">
<li><h2>Hold the key</h2>
<p>An auditor brings the key along: from a kit’s label, a member, or an audit made earlier. A key
that is only taken from this page vouches for nothing, since whoever forged the log could have printed it
here.</p>
${command('The log’s key, to compare with yours', vkey)}
${command('A policy file with it, named policy', `log ${vkey}\nquorum none`)}</li>
<li><h2>Check the log</h2>
<p>This reads the checkpoint, every entry and every published batch; verifies each signature, each
link from batch to batch, and each counter; and lists gaps, silences and contradictions. It exits
with 0 only if all holds.</p>
${command('With commons-kit', `npx ledger audit ${base} --policy policy`)}
<p>Batches that owners chose not to publish are counted as withheld; those that should be there and
are not, as missing. Without a policy it says “consistent, key unvouched”,
and exits with 1.</p></li>
<li><h2>Check again later</h2>
<p>Keep the checkpoint. A later one must contain this one: whoever rewrites history cannot show that
it does.</p>
${checkpoint === null
    ? html`<p>There is no checkpoint yet.</p>`
    : command('The checkpoint now', checkpoint.trimEnd())}
${command('Fetch it yourself', `curl ${base}/checkpoint`)}</li>
<li><h2>Use your own tools</h2>
<p>Checkpoints, tiles and proofs follow the public
<a href="https://c2sp.org/tlog-tiles">C2SP specifications</a>; batches are
<a href="https://www.rfc-editor.org/rfc/rfc9052">COSE</a> signed with
<a href="https://www.rfc-editor.org/rfc/rfc8554">LMS</a>. Any conforming reader will do.</p>
${command(
    'One tile of hashes, one bundle of entries',
    `curl ${base}/tile/0/000.p/N\ncurl ${base}/tile/entries/000.p/N`,
  )}
<p>N is the number of entries in the checkpoint’s second line, while it is below 256.</p></li>
</ol>`;
}

function command(what: string, text: string): Html {
  return html`<figure class="code"><figcaption>${what}</figcaption>
<pre tabindex="0" role="region" aria-label="${what}"><code>${text}</code></pre></figure>`;
}
