// The meter's case as solids: a tray with openings for both leads and a lid with window, button and
// LED. All lengths in mm. The boards stick to the tray's floor with foam tape; slots in the walls
// let the shunt's warmth out. No I/O.

import modeling from '@jscad/modeling';

const { primitives, booleans, transforms } = modeling;
export type Solid = ReturnType<typeof primitives.cuboid>;

export const CASE_MM = {
  inside: [110, 66, 30] as [number, number, number],
  wall: 2,
  corner: 3,
  /** A lead of up to this thickness goes through, held by a cable tie on the post behind. */
  lead: 7,
  screw: { pilot: 2.1, post: 7, through: 2.7 },
  /** Visible area of a 0.96 inch screen with a margin, and its board's bed. */
  window: [26, 15] as [number, number],
  button: 12.2,
  led: 3.1,
  /** Air between the lid's lip and the walls. */
  play: 0.25,
  lip: 2,
};

const SEGMENTS = 32;

export function makeEnclosure(): { tray: Solid; lid: Solid } {
  return { tray: makeTray(), lid: makeLid() };
}

function makeTray(): Solid {
  const { inside: [x, y, z], wall, lead } = CASE_MM;
  const shell = booleans.subtract(
    block([x + 2 * wall, y + 2 * wall, z + wall], CASE_MM.corner),
    transforms.translate([0, 0, wall], block([x, y, z + wall], CASE_MM.corner - 1)),
  );
  const holes = [-1, 1].map((side) =>
    transforms.translate(
      [(side * (x + wall)) / 2, -y / 4, wall + z / 2],
      transforms.rotateY(
        Math.PI / 2,
        primitives.cylinder({ radius: lead / 2, height: 3 * wall, segments: SEGMENTS }),
      ),
    ),
  );
  const slots = [-1, 1].flatMap((side) =>
    [-24, -12, 0, 12, 24].map((at) =>
      primitives.cuboid({ size: [7, 3 * wall, 2.4], center: [at, (side * (y + wall)) / 2, wall + 7] }),
    ),
  );
  const posts = [-1, 1].map((side) =>
    primitives.cuboid({ size: [4, 3, 12], center: [side * (x / 2 - 9), -y / 4 + 7, wall + 6] }),
  );
  const screws = corners().map(([px, py]) =>
    booleans.subtract(
      pillar(px, py, { radius: CASE_MM.screw.post / 2, from: wall, height: z - CASE_MM.lip }),
      pillar(px, py, { radius: CASE_MM.screw.pilot / 2, from: wall + 4, height: z }),
    ),
  );
  return booleans.union(booleans.subtract(shell, ...holes, ...slots), ...posts, ...screws);
}

function makeLid(): Solid {
  const { inside: [x, y], wall, lip, play, window: [wx, wy], button, led, screw } = CASE_MM;
  const plate = block([x + 2 * wall, y + 2 * wall, wall], CASE_MM.corner);
  const rim = transforms.translate(
    [0, 0, wall],
    booleans.subtract(
      block([x - 2 * play, y - 2 * play, lip], CASE_MM.corner - 1),
      block([x - 2 * play - 3, y - 2 * play - 3, lip], 1.5),
      ...corners().map(([px, py]) => pillar(px, py, { radius: screw.post / 2 + 0.4, from: 0, height: lip })),
    ),
  );
  const openings = [
    primitives.cuboid({ size: [wx, wy, 4 * wall], center: [-18, 8, 0] }),
    pillar(24, 10, { radius: button / 2, from: -wall, height: 4 * wall }),
    pillar(24, -8, { radius: led / 2, from: -wall, height: 4 * wall }),
    ...corners().map(([px, py]) => pillar(px, py, { radius: screw.through / 2, from: -wall, height: 4 * wall })),
  ];
  return booleans.subtract(booleans.union(plate, rim), ...openings);
}

/** On the floor z = 0, its upright edges rounded. */
function block([x, y, z]: [number, number, number], radius: number): Solid {
  const outline = primitives.roundedRectangle({ size: [x, y], roundRadius: radius, segments: SEGMENTS });
  return modeling.extrusions.extrudeLinear({ height: z }, outline);
}

function pillar(
  x: number,
  y: number,
  { radius, from, height }: { radius: number; from: number; height: number },
): Solid {
  return primitives.cylinder({ radius, height, center: [x, y, from + height / 2], segments: SEGMENTS });
}

function corners(): [number, number][] {
  const { inside: [x, y], screw } = CASE_MM;
  const [cx, cy] = [x / 2 - screw.post / 2 + 0.5, y / 2 - screw.post / 2 + 0.5];
  return [[cx, cy], [-cx, cy], [-cx, -cy], [cx, -cy]];
}
