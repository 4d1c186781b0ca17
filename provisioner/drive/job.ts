// What flashing is asked for and what it answers: the types between `kit flash`, the journey and
// the writer. No code.

import type { BenchRecord } from '../bench/record.ts';
import type { Campaign, Kit } from '../campaign/campaign.ts';
import type { Secrets } from '../campaign/secrets.ts';
import type { BlockDevice } from './eligible.ts';

/** One kit onto one drive: a block device, or a regular file standing for one. */
export interface FlashJob {
  kit: Kit;
  drive: string;
}

export interface FlashDeps {
  campaign: Campaign;
  secrets: Secrets;
  record: BenchRecord;
  /** The image's NAME-ARCH.img.zst; its manifest NAME-ARCH.json stands beside it. */
  image: string;
  /** Size that a drive's file is grown to; block devices are as large as they are. */
  fileSizeBytes: number;
  /** This machine's disks, as lsblk tells them; asked again just before a drive is opened. */
  listBlockDevices: () => Promise<BlockDevice[]>;
  /** Shown what will be erased, before anything is; throws to stop all jobs. */
  confirm: (plans: FlashPlan[]) => Promise<void>;
  onProgress: (progress: FlashProgress) => void;
  signal?: AbortSignal;
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
}

export interface FlashProgress {
  kit: string;
  phase: 'prepare' | 'write' | 'flush' | 'verify' | 'done';
  doneBytes: number;
  totalBytes: number;
}

export interface FlashResult {
  kit: string;
  drive: string;
  kind: 'block' | 'file';
  serial: string;
  sizeBytes: number;
  imageSha256: string;
  writtenBytes: number;
  verifiedBytes: number;
  /** Whether the read-back surely came from the drive, or perhaps from the kernel's memory. */
  readBack: 'direct' | 'buffered';
  hostKeyFingerprint: string;
  writeSeconds: number;
  verifySeconds: number;
}
