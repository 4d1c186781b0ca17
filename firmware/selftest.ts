// Whether this machine hashes and signs as the standards say: SHA-256, HMAC and a one-time signature,
// each against a printed vector. A meter that fails this must not sign: half a second at each start.
//
// Owns the vectors. It decides nothing of what follows (reporting.ts does), and uses no key of the
// meter's own.
import { oneTimeSign, parameterSet } from './lms.js'
import type { Edge } from './meter.js'

/** FIPS 180-4, example of one block: "abc". */
const ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'

/** RFC 4231 § 4.3: key "Jefe". */
const HMAC_DATA = 'what do ya want for nothing?'
const HMAC = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'

/** RFC 9858 Appendix A.1: LMS_SHA256_M24_H5 with LMOTS_SHA256_N24_W8. */
const LMS_TYPE = 0x0a
const OTS_TYPE = 0x08
const SEED = '000102030405060708090a0b0c0d0e0f1011121314151617'
const I = '202122232425262728292a2b2c2d2e2f'
const MESSAGE = 'Test mesage for SHA256/192\n'
const Q = 5
const C = '0b5040a18c1b5cabcbc85b047402ec6294a30dd8da8fc3da'
/** SHA-256 of that signature's bytes from q to the last chain: all but the path. */
const ONE_TIME = '5f46b0d6ea8180ed293847ceb21f4f6b42d3d11544927b5a16251f3b5bde1905'

/** Pauses within: a signature is some three thousand hashes. */
export async function selfTest(edge: Edge): Promise<boolean> {
  if (edge.sha256([Buffer.from('ab'), Buffer.from('c')]).toString('hex') !== ABC) return false
  const tag = edge.hmac(Buffer.from('Jefe'), Buffer.from(HMAC_DATA))
  if (tag.toString('hex') !== HMAC) return false
  return edge.sha256(await oneTimeSignature(edge)).toString('hex') === ONE_TIME
}

async function oneTimeSignature(edge: Edge): Promise<Buffer[]> {
  const set = parameterSet(LMS_TYPE, OTS_TYPE)
  const rt = {
    hash: edge.hashInto,
    alloc: (size: number) => Buffer.alloc(size),
    ends: (size: number) => Buffer.alloc(size),
    pause: edge.pause,
  }
  const secret = { set: set, I: Buffer.from(I, 'hex'), seed: Buffer.from(SEED, 'hex') }
  const none = Buffer.alloc(0)
  const signing = { q: Q, C: Buffer.from(C, 'hex'), subtree: none, upper: none }
  return (await oneTimeSign(rt, secret, Buffer.from(MESSAGE), signing)) as Buffer[]
}
