// What flashing is asked for and what it answers: the types between `kit flash`, the journey and
// the writer. No code.

import type { BenchRecord } from '../bench/record.ts';
import type { Campaign, Kit } from '../campaign/campaign.ts';
import type { Secrets } from '../campaign/secrets.ts';

/** One kit onto one drive: a block device, or a regular file standing for one. */
export interface FlashJob {
  kit: Kit;
  drive: string;
}

export interface FlashDeps {
  campaign: Campaign;
  secrets: Secrets;
  bench: BenchRecord;
  /** The image's NAME-ARCH.img.zst; its manifest NAME-ARCH.json stands beside it. */
  image: string;
  /** Size that a drive's file is grown to; block devices are as large as they are. */
  fileSizeBytes: number;
  now: () => number;
  /** Shown what will be erased, before anything is; false stops all jobs. */
  confirm: (plans: FlashPlan[]) => Promise<boolean>;
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
  /** Whether the read-back came from the drive itself, or possibly from the kernel's memory. */
  readBack: 'direct' | 'cache-dropped';
  hostKeyFingerprint: string;
  writeSeconds: number;
  verifySeconds: number;
}
