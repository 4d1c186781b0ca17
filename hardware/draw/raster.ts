// A drawing as pixels (PNG): for pictures that would be large as curves. The same bytes everywhere.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { initWasm, Resvg } from '@resvg/resvg-wasm';

let ready: Promise<void> | undefined;

/** Draws no text: it brings no fonts. */
export async function toPng(svg: string, widthPixels: number): Promise<Uint8Array> {
  // The WebAssembly module may be started only once in a process.
  ready ??= start();
  await ready;
  const drawing = new Resvg(svg, { fitTo: { mode: 'width', value: widthPixels } });
  try {
    return new Uint8Array(drawing.render().asPng());
  } finally {
    drawing.free();
  }
}

async function start(): Promise<void> {
  const require = createRequire(import.meta.url);
  await initWasm(await readFile(require.resolve('@resvg/resvg-wasm/index_bg.wasm')));
}
