// A QR code (ISO/IEC 18004) as a path of whole modules, for labels and leaflets. The quiet zone
// around it is the layout's to leave. Pure.

import qrcode from 'qrcode';

export interface QrPath {
  /** Modules on a side: the path's own unit. */
  size: number;
  /** SVG path data. */
  path: string;
}

export function qrPath(content: string): QrPath {
  const { modules } = qrcode.create(content, { errorCorrectionLevel: 'M' });
  const runs: string[] = [];
  for (let row = 0; row < modules.size; row++) {
    for (let column = 0; column < modules.size; ) {
      const start = column;
      while (column < modules.size && modules.get(row, column)) column++;
      if (column > start) runs.push(`M${start} ${row}h${column - start}v1h${start - column}z`);
      else column++;
    }
  }
  return { size: modules.size, path: runs.join('') };
}
