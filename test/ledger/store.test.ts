// What the private store refuses to keep.

import test from 'ava';
import { openStore } from '../../ledger/store.ts';
import { temporaryDir } from '../helpers/ledger-folder.ts';
import { digest } from '../helpers/meter.ts';

test('a store refuses to keep two messages under one one-time key', async (t) => {
  const { dir, remove } = temporaryDir();
  const store = await openStore(dir);
  const kept = (text: string, index: number): Parameters<typeof store.keep>[0][number] => {
    const [bytes, hash] = [new TextEncoder().encode(text), digest(text)];
    return { hash, bytes, meterId: new Uint8Array(8), signedBy: { generation: 1, q: 5 }, index };
  };
  store.keep([kept('one', 0)], []);
  t.throws(() => store.keep([kept('another', 1)], []), { message: /UNIQUE/ });
  t.is(store.blob(digest('another')), null);
  store.close();
  remove();
});
