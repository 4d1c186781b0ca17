// A kit's label, from what the bench knows to NAME.label.pdf and NAME.label.png.

import { createHash } from 'node:crypto';
import { join } from 'node:path';

import type { Workbench } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import { replaceDurably } from '../campaign/durable.ts';
import { KitError } from '../errors.ts';
import { drawLabel, type LabelFacts } from './draw.ts';
import { renderPdf, renderPng } from './render.ts';

export interface LabelFiles extends LabelFacts {
  pdf: string;
  png: string;
}

/**
 * Writes both files into `folder` and records it.
 * @throws KitError `kit-not-paired`: without a meter there is no page to point at
 */
export async function makeLabel(
  kit: Kit,
  bench: Pick<Workbench, 'campaign' | 'secrets' | 'record'>,
  folder: string,
): Promise<LabelFiles> {
  const { record } = bench;
  const { facts, pairedAtMs } = await gatherFacts(kit, bench);
  record.start(kit.name, 'label');
  try {
    const png = await renderPng(drawLabel(facts));
    const pdf = await renderPdf(png, { title: `Kit ${kit.name}`, madeAtMs: pairedAtMs });
    const base = join(folder, `${kit.name}.label`);
    await replaceDurably(`${base}.png`, png);
    await replaceDurably(`${base}.pdf`, pdf);
    const pdfSha256 = createHash('sha256').update(pdf).digest('hex');
    record.done(kit.name, 'label', { pdf: `${base}.pdf`, pdfSha256, page: facts.ledgerPage });
    return { ...facts, pdf: `${base}.pdf`, png: `${base}.png` };
  } catch (error) {
    record.fail(kit.name, 'label', error);
    throw error;
  }
}

async function gatherFacts(
  kit: Kit,
  { campaign, secrets, record }: Pick<Workbench, 'campaign' | 'secrets' | 'record'>,
): Promise<{ facts: LabelFacts; pairedAtMs: number }> {
  const paired = record.lastDone(kit.name, 'pair');
  const meterId = paired?.detail['meter'];
  if (paired === undefined || typeof meterId !== 'string') throw notPaired(kit);
  const { sshHostKey } = await secrets.kit(kit);
  const facts = {
    name: kit.name,
    domain: kit.domain,
    community: campaign.name,
    meterId,
    ledgerPage: `${campaign.ledger}/node/${meterId}`,
    hostKeyFingerprint: sshHostKey.fingerprint,
  };
  return { facts, pairedAtMs: paired.atMs };
}

function notPaired(kit: Kit): KitError {
  return new KitError({
    code: 'kit-not-paired',
    message: `${kit.name} has no meter yet`,
    expected: 'a kit whose meter is enrolled with the ledger',
    got: 'no finished pairing in bench.db',
    hint: `Run kit meter pair ${kit.name} first.`,
  });
}
