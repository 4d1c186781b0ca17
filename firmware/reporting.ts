// The meter's third fiber: its key, its enrolment, and when a batch is due or tried again.
//
// Owns the waiting: a batch period, the back-offs, and what the screen says of the ledger meanwhile.
import { enrol } from './enrol.js'
import { renumber, setFlag } from './interval.js'
import { keyToName, mustWaitForKey, signerParts, treeOf } from './growing.js'
import type { StoredKey } from './keyring.js'
import { makeSecret, openSigner } from './key.js'
import type { Signer } from './key.js'
import type { Meter } from './meter.js'
import { OUTCOME, Reporter, backOffMs, signedMessage, signedPart } from './report.js'
import { selfTest } from './selftest.js'
import type { Pairing } from './settings.js'
import { FLAG } from './wire.js'
import type { IntervalRecord } from './wire.js'

/** A batch goes through the relay, is verified and made durable before it is answered. */
const REPORT_MORE_MS = 7000
/** A console line holds about 290 characters: so many bytes as hexadecimal digits. */
const ENROL_LINE_BYTES = 100
/** A day: a ledger that takes nothing would use up a key of 1,024 signatures in three years. */
const MAX_SIGNING_WAIT_S = 86400
/** What failed once may have been the supply; half a second of work. */
const TEST_AGAIN_MS = 3600000
/** Attempts at once when the ledger wants another sequence number. */
const REBUILDS = 2

export async function report(meter: Meter, pairing: Pairing): Promise<void> {
  await becomeSound(meter)
  const found = await enrolled(meter, pairing)
  meter.id = found.meterId
  meter.meterId = found.meterId.toString('hex')
  const reporter = reporterOf(meter, pairing, found)
  let failures = 0
  let dueMs = meter.edge.millis()
  if (meter.journal.outstanding === null)
    dueMs += Math.max(0, pairing.batchS - (await waitedS(meter))) * 1000
  for (;;) {
    while (meter.edge.millis() < dueMs && !meter.reportNow) await meter.edge.sleep(1000)
    meter.reportNow = false
    if (await reportAlone(meter, reporter)) {
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

/** Passes the self-test before any key is touched, or never returns: a wrong signature spends one. */
async function becomeSound(meter: Meter): Promise<void> {
  for (;;) {
    meter.unsound = !(await selfTest(meter.edge))
    if (!meter.unsound) return
    meter.edge.print('fault self-test')
    await meter.edge.sleep(TEST_AGAIN_MS)
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

/** Nothing grows meanwhile. A memory that fails is one more reason to come later. */
async function reportAlone(meter: Meter, reporter: Reporter): Promise<boolean> {
  meter.reporting = true
  try {
    while (meter.leafGrowing) await meter.edge.sleep(10)
    return await reportAll(meter, reporter)
  } catch (error) {
    if (meter.fram.trouble === '') throw error
    meter.edge.print('unsent: ' + meter.fram.trouble)
    return false
  } finally {
    meter.reporting = false
  }
}

/** Whether the ledger has all that the ring has, or took what could be sent. */
async function reportAll(meter: Meter, reporter: Reporter): Promise<boolean> {
  let rebuilds = 0
  for (;;) {
    if (meter.journal.outstanding === null && mustWaitForKey(meter)) {
      meter.notice = 'growing the next key'
      return false
    }
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

function reporterOf(meter: Meter, pairing: Pairing, found: Identity): Reporter {
  const { keys } = meter.journal
  let number = keys.key === null ? 0 : keys.key.number
  let signer: Signer | null = found.signer
  const post = async (url: string, headers: string[], batch: Buffer[]) =>
    await meter.http.request({
      method: 'POST',
      url: url,
      headers: headers,
      body: batch,
      timeoutMs: pairing.patienceS * 1000 + REPORT_MORE_MS,
      maxBodyBytes: 1024,
    })
  return new Reporter(
    {
      store: meter.journal,
      eachRecord: async (fromSeq, take) => await meter.ring.each(fromSeq, take),
      sign: async message => {
        const { key } = keys
        if (key !== null && key.number !== number) {
          // First the old one out of reach: there is no room for both.
          signer = null
          signer = await signerOf(meter, key)
          number = key.number
        }
        if (signer === null) throw new Error('report: no signer')
        return await signer.sign(message)
      },
      successor: () => keyToName(meter),
      scratch: meter.room.ends,
      urls: () => {
        const node = meter.place === '' ? pairing.node.split(':')[0] : meter.place
        return ['http://' + node + '/commons', pairing.ledger]
      },
      adopt: async named => await keys.adopt(named),
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
      meterId: found.meterId,
      origin: pairing.origin,
      pairKey: pairing.pairKey,
      firmwareHash: pairing.firmwareHash,
    },
  )
}

/** Who signs, and for whom. */
interface Identity {
  signer: Signer
  meterId: Buffer
}

/** The pairing's signer; prints its enrolment statement until the ledger has accepted a batch. */
async function enrolled(meter: Meter, pairing: Pairing): Promise<Identity> {
  const found = await enrol<Signer>(
    {
      store: meter.journal,
      open: async key => await signerOf(meter, key),
      makeSecret: () => makeSecret(meter.edge.random, meter.edge.hkdf, pairing.entropy),
      derive: meter.edge.hkdf,
      digest: bytes => meter.edge.sha256([bytes]),
      covered: signedPart,
      sealed: signedMessage,
      currentSeq: () => meter.running.record.firstSeq,
    },
    pairing,
  )
  if (found.statement !== null) await printStatement(meter, found.statement)
  // The statement goes out of reach: it would hold a kilobyte and a half of the heap for good.
  return { signer: found.signer, meterId: found.meterId }
}

/** In lines `enrol I/N HEX`, at most as long as the console takes them. */
async function printStatement(meter: Meter, statement: Buffer[]): Promise<void> {
  let lines = 0
  statement.forEach(piece => {
    lines += Math.ceil(piece.length / ENROL_LINE_BYTES)
  })
  let line = 0
  for (let i = 0; i < statement.length; i++)
    for (let at = 0; at < statement[i].length; at += ENROL_LINE_BYTES) {
      const part = statement[i].slice(at, Math.min(statement[i].length, at + ENROL_LINE_BYTES))
      line++
      meter.edge.print('enrol ' + line + '/' + lines + ' ' + part.toString('hex'))
      await meter.edge.sleep(5)
    }
}

async function signerOf(meter: Meter, key: StoredKey): Promise<Signer> {
  const notice = meter.notice
  const parts = signerParts(meter, key)
  parts.progress = (done, of) => {
    meter.notice = 'making key ' + done + '/' + of
  }
  const signer = await openSigner(treeOf(meter.edge, key, meter.room), parts)
  meter.notice = notice
  return signer
}
