import test from 'ava';

import { proquint } from '../../../provisioner/campaign/passphrase.ts';

// arXiv:0901.4016, the table of IPv4 addresses.
test('proquints are those of the paper', (t) => {
  const table: [string, string][] = [
    ['127.0.0.1', 'lusab-babad'],
    ['63.84.220.193', 'gutih-tugad'],
    ['63.118.7.35', 'gutuk-bisog'],
    ['140.98.193.141', 'mudof-sakat'],
    ['64.255.6.200', 'haguz-biram'],
    ['128.30.52.45', 'mabiv-gibot'],
    ['147.67.119.2', 'natag-lisaf'],
    ['212.58.253.68', 'tibup-zujah'],
    ['216.35.68.215', 'tobog-higil'],
    ['216.68.232.21', 'todah-vobij'],
    ['198.81.129.136', 'sinid-makam'],
    ['12.110.110.204', 'budov-kuras'],
  ];
  for (const [address, quints] of table) {
    t.is(proquint(new Uint8Array(address.split('.').map(Number))), quints, address);
  }
});
