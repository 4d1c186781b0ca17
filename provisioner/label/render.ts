// From the label's drawing to a picture (PNG) and a page to print (PDF). The fonts come with us, so
// that every machine makes the same bytes.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

import { initWasm, Resvg } from '@resvg/resvg-wasm';
import PDFDocument from 'pdfkit';

import { labelMm } from './draw.ts';

const dotsPerInch = 600;
const mmPerInch = 25.4;
const pointsPerInch = 72;

const require = createRequire(import.meta.url);
let renderer: Promise<Uint8Array[]> | undefined;

export async function renderPng(svg: string): Promise<Uint8Array> {
  renderer ??= prepare();
  const fontBuffers = await renderer;
  const widthPixels = Math.round((labelMm.width / mmPerInch) * dotsPerInch);
  const drawing = new Resvg(svg, {
    font: { fontBuffers, defaultFontFamily: 'DejaVu Sans' },
    fitTo: { mode: 'width', value: widthPixels },
  });
  try {
    return new Uint8Array(drawing.render().asPng());
  } finally {
    drawing.free();
  }
}

/** @param madeAtMs stands in the file as its date; nothing else there depends on the clock */
export async function renderPdf(png: Uint8Array, about: { title: string; madeAtMs: number }) {
  const size: [number, number] = [points(labelMm.width), points(labelMm.height)];
  const date = new Date(about.madeAtMs);
  const info = { Title: about.title, CreationDate: date, ModDate: date };
  const document = new PDFDocument({ size, margin: 0, info });
  const chunks: Buffer[] = [];
  document.on('data', (chunk: Buffer) => chunks.push(chunk));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  document.on('end', resolve).on('error', reject);
  document.image(Buffer.from(png), 0, 0, { width: size[0], height: size[1] });
  document.end();
  await promise;
  return new Uint8Array(Buffer.concat(chunks));
}

/** The WebAssembly module may be started only once in a process. */
async function prepare(): Promise<Uint8Array[]> {
  await initWasm(await readFile(require.resolve('@resvg/resvg-wasm/index_bg.wasm')));
  const faces = ['DejaVuSans', 'DejaVuSans-Bold', 'DejaVuSansMono'];
  const paths = faces.map((face) => require.resolve(`dejavu-fonts-ttf/ttf/${face}.ttf`));
  return Promise.all(paths.map(async (path) => new Uint8Array(await readFile(path))));
}

function points(mm: number): number {
  return (mm / mmPerInch) * pointsPerInch;
}
