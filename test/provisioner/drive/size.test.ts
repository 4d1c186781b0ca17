import test from 'ava';

import { parseSize, sizeText } from '../../../provisioner/drive/size.ts';

test('sizes are read in binary units and printed as on the drive', (t) => {
  t.is(parseSize('4G'), 4 * 2 ** 30);
  t.is(parseSize('4GiB'), 4 * 2 ** 30);
  t.is(parseSize('512M'), 512 * 2 ** 20);
  t.is(parseSize('16T'), 2 ** 44);
  for (const text of ['', '4', '4g', '0G', '-1G', '17T', '4.5G', '4 G', '9999999G', '4GB']) {
    t.throws(() => parseSize(text), { message: /not a size/ }, text);
  }
  t.is(sizeText(31_914_983_424), '31.9 GB');
  t.is(sizeText(2 ** 44), '17.6 TB');
  t.is(sizeText(16 << 20), '16.8 MB');
});
