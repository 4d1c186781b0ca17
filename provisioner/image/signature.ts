// Who vouches for an image: the signature on its sums, held against those whom a campaign allows.
// The sums vouch for the manifest, and the manifest for every byte of the image.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { KitError } from '../errors.ts';
import { type SshAllowedSigner, verifyMessage } from './sshsig.ts';

/**
 * @param manifest path of NAME-ARCH.json; sums and signature stand beside it
 * @returns the signer's name
 * @throws KitError `image-unsigned`, `image-wrong-sums`, and those of {@link verifyMessage}
 */
export async function requireSignature(
  manifest: string,
  allowed: readonly SshAllowedSigner[],
): Promise<string> {
  const sumsFile = manifest.replace(/\.json$/, '.sha256');
  const sums = await readPaper(sumsFile);
  const armored = (await readPaper(`${sumsFile}.sig`)).toString('utf8');
  const { name } = verifyMessage(sums, armored, { allowed });
  const found = createHash('sha256').update(await readPaper(manifest)).digest('hex');
  const line = `${found}  ${basename(manifest)}`;
  if (sums.toString('utf8').split('\n').includes(line)) return name;
  throw new KitError({
    code: 'image-wrong-sums',
    message: `${manifest} is not the one that ${name} signed`,
    expected: `the sum that ${sumsFile} holds`,
    got: found,
    hint: 'Copy the image with all its files again; if it stays so, do not use it.',
  });
}

async function readPaper(path: string): Promise<Buffer> {
  return readFile(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
    throw new KitError({
      code: 'image-unsigned',
      message: 'This campaign takes signed images only, and this one is not',
      expected: path,
      got: 'no such file',
      hint: 'Copy the image with all its files, or build it with `kit image build`.',
      cause,
    });
  });
}
