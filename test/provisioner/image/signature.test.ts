import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { ed25519FromSeed } from '../../../provisioner/campaign/identity.ts';
import { sshEd25519Blob } from '../../../provisioner/campaign/ssh-key.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { requireSignature } from '../../../provisioner/image/signature.ts';
import { parseAllowedSigner, signMessage } from '../../../provisioner/image/sshsig.ts';

const refused = (code: string) => ({ instanceOf: KitError, code });
const keyOf = (fill: number) => {
  const { key: signingKey, publicKey } = ed25519FromSeed(new Uint8Array(32).fill(fill));
  return { signingKey, publicKey };
};

test('an image is vouched for by the sums that somebody allowed has signed', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'signature-'));
  try {
    const signer = keyOf(1);
    const allowed = [{ name: 'wren', publicKey: signer.publicKey }];
    const manifest = join(dir, 'tiny-amd64.json');
    writeFileSync(manifest, '{"format":1}');
    await t.throwsAsync(requireSignature(manifest, allowed), refused('image-unsigned'));

    const sum = createHash('sha256').update('{"format":1}').digest('hex');
    const sums = `${'0'.repeat(64)}  tiny-amd64.img.zst\n${sum}  tiny-amd64.json\n`;
    writeFileSync(join(dir, 'tiny-amd64.sha256'), sums);
    await t.throwsAsync(requireSignature(manifest, allowed), refused('image-unsigned'));

    writeFileSync(join(dir, 'tiny-amd64.sha256.sig'), signMessage(Buffer.from(sums), signer));
    t.is(await requireSignature(manifest, allowed), 'wren');
    const strangers = [{ name: 'rook', publicKey: keyOf(2).publicKey }];
    await t.throwsAsync(requireSignature(manifest, strangers), refused('signature-stranger'));

    writeFileSync(manifest, '{"format":1 }');
    await t.throwsAsync(requireSignature(manifest, allowed), refused('image-wrong-sums'));
    writeFileSync(join(dir, 'tiny-amd64.sha256'), sums.replace(sum, 'f'.repeat(64)));
    await t.throwsAsync(requireSignature(manifest, allowed), refused('signature-wrong'));
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('a signer is read as it is printed, and nothing else is', (t) => {
  const { publicKey } = keyOf(3);
  const key = sshEd25519Blob(publicKey).toString('base64');
  const read = parseAllowedSigner(`wren ssh-ed25519 ${key} of the co-op`);
  t.is(read?.name, 'wren');
  t.deepEqual(Buffer.from(read?.publicKey ?? []), Buffer.from(publicKey));
  for (const text of ['', 'wren', `wren ssh-rsa ${key}`, `wren ssh-ed25519 ${key.slice(4)}`]) {
    t.is(parseAllowedSigner(text), undefined, text);
  }
});
