// A page of A4 to draw on, in millimetres: text that wraps, lines, boxes, QR codes, in black and
// greys alone, because it is printed on whatever printer there is. Over pdfkit; the fonts come with
// us, so that every bench makes the same bytes.

import { createRequire } from 'node:module';

import type PDFDocument from 'pdfkit';

import { qrPath } from '../../label/qr.ts';

export type Document = InstanceType<typeof PDFDocument>;
export type Face = 'regular' | 'bold' | 'mono';

/** ISO 216, in millimetres. */
export const a4Mm = { width: 210, height: 297 };
export const marginMm = 16;
export const innerMm = a4Mm.width - 2 * marginMm;

export interface TextStyle {
  x: number;
  y: number;
  /** Where lines are broken; left out: one line, however long. */
  width?: number;
  /** In points, as people know them. */
  size: number;
  face?: Face;
  align?: 'left' | 'center' | 'right';
  grey?: number;
}

export interface Sheet {
  /** @returns where the next thing may begin, y in millimetres */
  text(content: string, style: TextStyle): number;
  /** The size, at most `size`, at which a line is no wider than `width`. */
  sizeFor(content: string, style: { width: number; size: number; face?: Face }): number;
  /** SVG path data in millimetres. */
  stroke(path: string, style?: { width?: number; dash?: number; grey?: number }): void;
  fill(path: string, grey?: number): void;
  box(x: number, y: number, width: number, height: number, radius?: number): void;
  qr(content: string, place: { x: number; y: number; side: number }): void;
}

const require = createRequire(import.meta.url);
const files: Record<Face, string> = {
  regular: 'DejaVuSans',
  bold: 'DejaVuSans-Bold',
  mono: 'DejaVuSansMono',
};

const pointsPerMm = 72 / 25.4;

export function registerFaces(document: Document): void {
  for (const [face, file] of Object.entries(files)) {
    document.registerFont(face, require.resolve(`dejavu-fonts-ttf/ttf/${file}.ttf`));
  }
}

/** Draws on the document's current page. */
export function sheetOn(document: Document): Sheet {
  const points = (mm: number): number => mm * pointsPerMm;
  const shade = (grey: number): string => {
    const level = Math.round(grey * 255).toString(16).padStart(2, '0');
    return `#${level}${level}${level}`;
  };
  /** Everything within is in millimetres. */
  const inMm = (draw: () => void): void => {
    document.save().scale(pointsPerMm);
    draw();
    document.restore();
  };
  return {
    text(content, { x, y, width, size, face = 'regular', align = 'left', grey = 0 }) {
      document.font(face).fontSize(size).fillColor(shade(grey));
      const lines = { lineBreak: width !== undefined, width: points(width ?? a4Mm.width), align };
      document.text(content, points(x), points(y), { ...lines, lineGap: size * 0.12 });
      const height = width === undefined ? size * 1.3 : document.heightOfString(content, lines);
      return y + height / pointsPerMm;
    },
    sizeFor(content, { width, size, face = 'regular' }) {
      document.font(face).fontSize(size);
      return Math.min(size, (size * points(width)) / document.widthOfString(content));
    },
    stroke(path, { width = 0.35, dash, grey = 0 } = {}) {
      inMm(() => {
        document.lineWidth(width).lineCap('round').lineJoin('round').strokeColor(shade(grey));
        if (dash !== undefined) document.dash(dash, { space: dash });
        document.path(path).stroke();
      });
    },
    fill: (path, grey = 0) => inMm(() => void document.path(path).fill(shade(grey))),
    box(x, y, width, height, radius = 2) {
      inMm(() => {
        document.lineWidth(0.35).strokeColor('#000000');
        document.roundedRect(x, y, width, height, radius).fillAndStroke('#ffffff', '#000000');
      });
    },
    qr(content, { x, y, side }) {
      const code = qrPath(content);
      document.save().scale(pointsPerMm).translate(x, y).scale(side / code.size);
      document.path(code.path).fill('#000000');
      document.restore();
    },
  };
}
