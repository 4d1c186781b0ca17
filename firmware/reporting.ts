// The meter's third fiber: its key, its enrolment, and when a batch is due or tried again.
//
// Owns the waiting: a batch period, the back-offs, and what the screen says of the ledger meanwhile.
import { enrol } from './enrol.js'
import type { Enrolled } from './enrol.js'
import { renumber, setFlag } from './interval.js'
import type { StoredKey } from './journal.js'
import { makeSecret, openSigner } from './key.js'
import type { Signer, Tree } from './key.js'
import { growSubtree, growTop, hssPublicKey, hssSign, parameterSet, subtreeCount } from './lms.js'
import type { Edge, Meter } from './meter.js'
import { OUTCOME, Reporter, backOffMs, signedMessage, signedPart } from './report.js'
import type { Pairing } from './settings.js'
import { FLAG } from './wire.js'
import type { IntervalRecord } from './wire.js'

/** LMS_SHA256_M24_H5 and H10, LMOTS_SHA256_N24_W4 (RFC 9858). */
const LMS_H5 = 0x0a
const LMS_H10 = 0x0b
const LMOTS_W4 = 0x07
/** A batch goes through the relay, is verified and made durable before it is answered. */
const REPORT_MORE_MS = 7000
/** A console line holds about 290 characters. */
const ENROL_LINE_DIGITS = 200
/** A day: a ledger that takes nothing would use up a key of 1,024 signatures in three years. */
const MAX_SIGNING_WAIT_S = 86400
/** Attempts at once when the ledger wants another sequence number. */
const REBUILDS = 2

export async function report(meter: Meter, pairing: Pairing): Promise<void> {
  const { signer, meterId } = await enrolled(meter, pairing)
  meter.meterId = meterId.toString('hex')
  const reporter = reporterOf(meter, pairing, signer, meterId)
  let failures = 0
  let dueMs = meter.edge.millis()
  if (meter.journal.outstanding === null)
    dueMs += Math.max(0, pairing.batchS - (await waitedS(meter))) * 1000
  for (;;) {
    while (meter.edge.millis() < dueMs && !meter.reportNow) await meter.edge.sleep(1000)
    meter.reportNow = false
    if (await reportAll(meter, reporter)) {
      failures = 0
      dueMs = meter.edge.millis() + pairing.batchS * 1000
    } else {
      failures++
      // Without a batch to send again, the next attempt signs another.
      const signs = meter.journal.outstanding === null
      const mostS = signs ? MAX_SIGNING_WAIT_S : Math.min(pairing.batchS, 3600)
      dueMs = meter.edge.millis() + backOffMs(failures, mostS, meter.edge.random(1)[0] / 255)
    }
  }
}

/**
 * Seconds counted since the first record that waits: a power cut does not begin the batch period
 * anew, or a meter that loses its power more often than that would never report.
 */
async function waitedS(meter: Meter): Promise<number> {
  const first = await meter.ring.readFrom(meter.journal.link.nextSeq, 1)
  return first.length === 0 ? 0 : countedS(meter.running.record) - countedS(first[0])
}

function countedS(record: IntervalRecord): number {
  return record.upS + record.downS + record.unknownS
}

/** Whether the ledger has all that the ring has, or took what could be sent. */
async function reportAll(meter: Meter, reporter: Reporter): Promise<boolean> {
  let rebuilds = 0
  for (;;) {
    const outcome = await reporter.attempt()
    const { link } = meter.journal
    if (link.nextSeq > meter.running.record.firstSeq) renumber(meter.running, link.nextSeq)
    if (outcome === OUTCOME.nothing) return true
    if (outcome === OUTCOME.accepted) {
      meter.notice = ''
      meter.fault = false
      meter.edge.print('accepted ' + (link.nextSeq - 1) + ' entry ' + link.entryIndex)
      if (meter.ring.lastSeq < link.nextSeq) return true
    } else if (outcome === OUTCOME.notNext && rebuilds < REBUILDS) {
      rebuilds++
    } else {
      meter.notice = reasonOf(outcome)
      meter.edge.print('unsent ' + outcome)
      return false
    }
  }
}

function reasonOf(outcome: number): string {
  if (outcome === OUTCOME.silent) return 'ledger is silent'
  if (outcome === OUTCOME.tryLater) return 'ledger: try later'
  if (outcome === OUTCOME.invalid) return 'ledger refuses batch'
  return 'ledger: out of step'
}

function reporterOf(meter: Meter, pairing: Pairing, signer: Signer, meterId: Buffer): Reporter {
  const post = async (url: string, headers: string[], body: Buffer) =>
    await meter.http.request({
      method: 'POST',
      url: url,
      headers: headers,
      body: body,
      timeoutMs: pairing.patienceS * 1000 + REPORT_MORE_MS,
      maxBodyBytes: 1024,
    })
  return new Reporter(
    {
      store: meter.journal,
      readRecords: async (fromSeq, limit) => await meter.ring.readFrom(fromSeq, limit),
      sign: async message => await signer.sign(message),
      post: post,
      digest: meter.edge.sha256,
      hmac: meter.edge.hmac,
      random: meter.edge.random,
      pause: meter.edge.pause,
      synchronise: (unixS, sentMs) => {
        // At once, before the interval can close: its record has the new time.
        if (meter.clock.synchronise(unixS, sentMs)) setFlag(meter.running.record, FLAG.clockStep)
      },
    },
    {
      meterId: meterId,
      origin: pairing.origin,
      pairKey: pairing.pairKey,
      firmwareHash: pairing.firmwareHash,
      urls: ['http://' + pairing.node.split(':')[0] + '/commons', pairing.ledger],
    },
  )
}

/** The pairing's signer; prints its enrolment statement until the ledger has accepted a batch. */
async function enrolled(meter: Meter, pairing: Pairing): Promise<Enrolled<Signer>> {
  const found = await enrol<Signer>(
    {
      store: meter.journal,
      open: async key => await signerOf(meter, key),
      makeSecret: () => makeSecret(meter.edge.random, meter.edge.hkdf, pairing.entropy),
      derive: meter.edge.hkdf,
      digest: meter.edge.sha256,
      covered: signedPart,
      sealed: signedMessage,
      currentSeq: () => meter.running.record.firstSeq,
    },
    pairing,
  )
  if (found.statement !== null) await printStatement(meter, found.statement)
  return found
}

/** In lines `enrol I/N HEX`, as long as the console takes them. */
async function printStatement(meter: Meter, statement: Buffer): Promise<void> {
  const digits = statement.toString('hex')
  await meter.edge.pause()
  const lines = Math.ceil(digits.length / ENROL_LINE_DIGITS)
  for (let i = 0; i < lines; i++) {
    const part = digits.slice(i * ENROL_LINE_DIGITS, (i + 1) * ENROL_LINE_DIGITS)
    meter.edge.print('enrol ' + (i + 1) + '/' + lines + ' ' + part)
    await meter.edge.sleep(5)
  }
}

async function signerOf(meter: Meter, key: StoredKey): Promise<Signer> {
  const notice = meter.notice
  const signer = await openSigner(treeOf(meter.edge, key), {
    store: meter.journal,
    random: meter.edge.random,
    progress: (done, of) => {
      meter.notice = 'making key ' + done + '/' + of
    },
  })
  meter.notice = notice
  return signer
}

function treeOf(edge: Edge, key: StoredKey): Tree {
  const set = parameterSet(key.height === 5 ? LMS_H5 : LMS_H10, LMOTS_W4)
  const secret = { set: set, I: key.I, seed: key.seed }
  const rt = {
    hash: edge.hashInto,
    alloc: (size: number) => Buffer.alloc(size),
    pause: edge.pause,
  }
  return {
    n: set.n,
    subtrees: subtreeCount(set),
    growSubtree: async index => await growSubtree(rt, secret, index),
    growTop: async layer => await growTop(rt, secret, layer),
    publicKey: top => hssPublicKey(rt, secret, top) as Buffer,
    sign: async (message, q, C, subtree, top) => {
      const parts = { q: q, C: C, subtree: subtree, top: top }
      return (await hssSign(rt, secret, message, parts)) as Buffer
    },
  }
}
