// `npm run hardware`: makes everything in hardware/built/ from the data, or with --check says
// whether it is what the data gives. Owns that folder and nothing else.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import stl from '@jscad/stl-serializer';
import { billPage } from './draw/bill.ts';
import { boards, steps, SUPPLIES, type BoardName, type Supply } from './draw/data.ts';
import { makeEnclosure, type Solid } from './draw/enclosure.ts';
import { budgetPage } from './draw/error-budget.ts';
import { toPng } from './draw/raster.ts';
import { drawSolid } from './draw/solid-picture.ts';
import { drawWiring } from './draw/wiring.ts';

const PICTURE_PIXELS = 560;
export const BUILT = fileURLToPath(new URL('./built/', import.meta.url));

/** Every file of hardware/built/, by name. */
export async function makeHardware(): Promise<Map<string, Uint8Array>> {
  const { tray, lid } = makeEnclosure();
  return new Map<string, Uint8Array>([
    ['bill.md', bytesOf(billPage())],
    ['error-budget.md', bytesOf(budgetPage())],
    ...SUPPLIES.flatMap((supply) => wiringPictures(supply)),
    ...SUPPLIES.flatMap((supply) => stepPictures(supply)),
    ...[['tray', tray] as const, ['lid', lid] as const].flatMap(([name, solid]) => [
      [`${name}.stl`, stlOf(solid)] as [string, Uint8Array],
    ]),
    ['tray.png', await toPng(drawSolid(tray), PICTURE_PIXELS)],
    ['lid.png', await toPng(drawSolid(lid), PICTURE_PIXELS)],
  ]);
}

function wiringPictures(supply: Supply): [string, Uint8Array][] {
  return (Object.keys(boards) as BoardName[]).map((board) => {
    const title = `${supply}, ${boards[board].name}`;
    return [`wiring-${supply}-${board}.svg`, bytesOf(drawWiring({ supply, board, title }))];
  });
}

function stepPictures(supply: Supply): [string, Uint8Array][] {
  const board: BoardName = 'xiao-esp32c3';
  return steps.map((step, index) => {
    const title = `${index + 1}. ${step.title} (${supply})`;
    return [`step-${supply}-${index + 1}.svg`, bytesOf(drawWiring({ supply, board, title, step }))];
  });
}

function stlOf(solid: Solid): Uint8Array {
  const chunks = stl.serialize({ binary: true }, solid);
  return new Uint8Array(Buffer.concat(chunks.map((chunk) => Buffer.from(chunk))));
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const check = process.argv.includes('--check');
  const stale: string[] = [];
  await mkdir(BUILT, { recursive: true });
  for (const [name, bytes] of await makeHardware()) {
    const there = await readFile(join(BUILT, name)).catch(() => undefined);
    if (there !== undefined && Buffer.compare(there, bytes) === 0) continue;
    stale.push(name);
    if (!check) await writeFile(join(BUILT, name), bytes);
  }
  const words = check ? 'not as the data gives' : 'made anew';
  console.log(stale.length === 0 ? 'All is as the data gives.' : `${words}: ${stale.join(' ')}`);
  process.exitCode = check && stale.length > 0 ? 1 : 0;
}
