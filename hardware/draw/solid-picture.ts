// A solid as a picture: seen from a corner without perspective, each face as bright as it looks
// towards the light, the far ones drawn first. No I/O.

import modeling from '@jscad/modeling';
import type { Solid } from './enclosure.ts';

type Point = [number, number, number];

const PIXELS_A_MM = 4;
const MARGIN = 12;
/** From the front, the right, and above. */
const [TURN, TILT] = [Math.PI / 5, Math.PI / 5];
const PIECE_MM = 7;
const LIGHT = unit([0.35, -0.55, 0.76]);
const PLASTIC = [92, 128, 150];

export function drawSolid(solid: Solid): string {
  const faces = modeling.geometries.geom3
    .toPolygons(solid)
    .map(({ vertices }) => vertices.map((vertex) => turn(vertex as Point)))
    .map((points) => ({ points, normal: normalOf(points) }))
    // A face that looks away is behind another.
    .filter(({ normal }) => normal[1] < 0)
    .flatMap(({ points, normal }) => split(points).map((piece) => ({ points: piece, normal })))
    .map((face) => ({ ...face, depth: depthOf(face.points) }))
    .sort((a, b) => b.depth - a.depth);
  const flat = faces.flatMap(({ points }) => points);
  const [left, right] = [Math.min(...flat.map((p) => p[0])), Math.max(...flat.map((p) => p[0]))];
  const [low, high] = [Math.min(...flat.map((p) => p[2])), Math.max(...flat.map((p) => p[2]))];
  const place = ([x, , z]: Point): string =>
    `${fixed((x - left) * PIXELS_A_MM + MARGIN)},${fixed((high - z) * PIXELS_A_MM + MARGIN)}`;
  const drawn = faces.map(({ points, normal }) => {
    const colour = shade(normal);
    return `<polygon points="${points.map(place).join(' ')}" fill="${colour}" stroke="${colour}" stroke-width="1"/>`;
  });
  const width = fixed((right - left) * PIXELS_A_MM + 2 * MARGIN);
  const height = fixed((high - low) * PIXELS_A_MM + 2 * MARGIN);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    // A thin seam of each piece's own colour closes the gaps between pieces.
    ...drawn,
    '</svg>\n',
  ].join('\n');
}

/** Afterwards x is to the right, y away from who looks, z up. */
function turn([x, y, z]: Point): Point {
  const [u, v] = [x * Math.cos(TURN) - y * Math.sin(TURN), x * Math.sin(TURN) + y * Math.cos(TURN)];
  return [u, v * Math.cos(TILT) - z * Math.sin(TILT), v * Math.sin(TILT) + z * Math.cos(TILT)];
}

/** Into pieces so small that their middles tell which lies before which. */
function split(points: Point[]): Point[][] {
  if (points.length > 3) {
    return points.slice(2).flatMap((point, index) => split([points[0]!, points[index + 1]!, point]));
  }
  const lengths = points.map((point, index) => Math.hypot(...minus(point, points[(index + 1) % 3]!)));
  const longest = lengths.indexOf(Math.max(...lengths));
  if (lengths[longest]! <= PIECE_MM) return [points];
  const [a, b, c] = [0, 1, 2].map((step) => points[(longest + step) % 3]!) as [Point, Point, Point];
  const middle: Point = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2];
  return [...split([a, middle, c]), ...split([middle, b, c])];
}

function depthOf(points: Point[]): number {
  return points.reduce((sum, point) => sum + point[1], 0) / points.length;
}

function normalOf([a, b, c]: Point[]): Point {
  const [u, v] = [minus(b!, a!), minus(c!, a!)];
  return unit([u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]);
}

function shade(normal: Point): string {
  const bright = normal.reduce((sum, part, index) => sum + part * LIGHT[index]!, 0);
  const factor = 0.55 + 0.65 * Math.max(0, bright);
  return `rgb(${PLASTIC.map((part) => Math.min(255, Math.round(part * factor))).join(',')})`;
}

function minus(a: Point, b: Point): Point {
  return [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
}

function unit(v: Point): Point {
  const length = Math.hypot(...v);
  return [v[0] / length, v[1] / length, v[2] / length];
}

function fixed(value: number): string {
  return value.toFixed(1);
}
