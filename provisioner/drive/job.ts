// What flashing is asked for and what it answers: the types between `kit flash`, the journey and
// the writer. No code.

import type { BenchRecord } from '../bench/record.ts';
import type { Campaign, Kit } from '../campaign/campaign.ts';
import type { RandomSource } from '../campaign/identity.ts';
import type { KitSecrets, Secrets } from '../campaign/secrets.ts';
import type { Clock } from './clock.ts';
import type { BlockDevice } from './eligible.ts';

/** One kit onto one drive: a block device, or a regular file standing for one. */
export interface FlashJob {
  kit: Kit;
  drive: string;
}

/** What of the bench's secrets a drive is given. */
export interface DriveSecrets extends Pick<Secrets, 'campaign'> {
  kit(kit: Kit): Promise<Pick<KitSecrets, 'sshHostKey' | 'wifi'>>;
}

export interface FlashDeps {
  campaign: Campaign;
  secrets: DriveSecrets;
  record: BenchRecord;
  /** NAME-ARCH.img, or .img.zst, .img.xz, .img.gz; its manifest NAME-ARCH.json beside it. */
  image: string;
  /** Where it is unpacked to, without a name; default: the user's cache folder. */
  spoolDir?: string;
  /** Size that a drive's file is grown to; block devices are as large as they are. */
  fileSizeBytes: number;
  /** This machine's disks, as lsblk tells them; asked again just before a drive is opened. */
  listBlockDevices: () => Promise<BlockDevice[]>;
  /** Shown what will be erased, before anything is; throws to stop all jobs. */
  confirm: (plans: FlashPlan[]) => Promise<void>;
  onProgress: (progress: FlashProgress) => void;
  signal?: AbortSignal;
  /** Default: the machine's. */
  clock?: Clock;
  random?: RandomSource;
  /** How often a drive's progress is saved; default {@link saveEveryMs}. */
  saveEveryMs?: number;
}

export interface FlashPlan {
  kit: string;
  drive: string;
  kind: 'block' | 'file';
  sizeBytes: number;
  /** Empty where there is none, as with a file. */
  model: string;
  serial: string;
  /** What would be lost, in words: "GPT with 2 partitions: vfat EFI, ext4 root"; empty: nothing. */
  contents: string;
  /** What a person should know besides. */
  note?: string;
}

export interface FlashProgress {
  kit: string;
  /** `stalled` may come in between, as long as the drive does not answer. */
  phase: 'unpack' | 'prepare' | 'write' | 'flush' | 'verify' | 'stalled' | 'done';
  doneBytes: number;
  totalBytes: number;
  /** Of the image's body: what an interrupted run had left on the drive; 0: written from its start. */
  resumedAtBytes: number;
  /** With `stalled`: for how long the drive has not answered. */
  silentMs?: number;
}

export interface FlashResult {
  kit: string;
  drive: string;
  kind: 'block' | 'file';
  serial: string;
  sizeBytes: number;
  /** Of the image as it was published: the manifest's `zstSha256`. */
  imageSha256: string;
  resumedAtBytes: number;
  writtenBytes: number;
  verifiedBytes: number;
  /** Whether the read-back surely came from the drive, or perhaps from the kernel's memory. */
  readBack: 'direct' | 'buffered';
  hostKeyFingerprint: string;
  writeSeconds: number;
  verifySeconds: number;
  /** Too slow for a node: see rate.ts. */
  slow: boolean;
}
