// The leaflet that goes with a kit: two pages of A4, each on a sheet of its own. The first is open;
// the second is folded and sealed, for it has the owner's secrets. Drawn in one go, as a PDF of lines
// and letters: what the tests look at is what is printed.

import PDFDocument from 'pdfkit';

import type { Texts } from '../texts.ts';
import { drawOpenPage } from './open-page.ts';
import { drawSealedPage } from './sealed-page.ts';
import { registerFaces, sheetOn } from './sheet.ts';

/** What texts may name in {braces}, and more; nothing of it is secret. */
export type LeafletFacts = {
  kit: string;
  domain: string;
  community: string;
  /** The owner's, everywhere on the node. */
  user: string;
  /** Where the first login is, with its scheme. */
  loginAddress: string;
  /** Every page that the passphrase opens, the first login first, as a person types them. */
  addresses: string;
  /** `@user@domain` */
  handle: string;
  /** Where the node tells its owner how it is; undefined: this kind has no such page. */
  healthPage: string | undefined;
  /** Whether browsers know who certifies the domain. */
  isKnownToBrowsers: boolean;
  /** Whom to call; undefined: room to write it by hand. */
  contact: string | undefined;
  /** This kit's page on the ledger, once its meter is paired. */
  ledgerPage: string | undefined;
};

export interface LeafletSecrets {
  passphrase: string;
  recoveryCodes: string[];
  /** What the ledger is asked with; undefined where the enrolment names none. */
  ownerKey: string | undefined;
  /** Typed back at the bench: somebody has the paper in hand. */
  printWord: string;
}

/** @param about.madeAtMs stands in the file as its date; nothing else there depends on the clock */
export async function renderLeaflet(
  { facts, secrets, texts }: { facts: LeafletFacts; secrets: LeafletSecrets; texts: Texts },
  about: { madeAtMs: number; language: string },
): Promise<Uint8Array> {
  const date = new Date(about.madeAtMs);
  const info = { Title: `${facts.kit}: ${texts.cover.title}`, CreationDate: date, ModDate: date };
  const document = new PDFDocument({ size: 'A4', margin: 0, info, lang: about.language });
  const chunks: Buffer[] = [];
  document.on('data', (chunk: Buffer) => chunks.push(chunk));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  document.on('end', resolve).on('error', reject);
  registerFaces(document);
  drawOpenPage(sheetOn(document), facts, texts);
  document.addPage();
  drawSealedPage(sheetOn(document), { facts, secrets, texts });
  document.end();
  await promise;
  return new Uint8Array(Buffer.concat(chunks));
}
