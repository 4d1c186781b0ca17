import modeling from '@jscad/modeling';
import test from 'ava';
import { CASE_MM, makeEnclosure, type Solid } from '../../../hardware/draw/enclosure.ts';

const { tray, lid } = makeEnclosure();
const volumeMm3 = (solid: Solid): number => modeling.measurements.measureVolume(solid);
const boxOf = (solid: Solid): number[][] => modeling.measurements.measureBoundingBox(solid);

test('tray and lid have the same outline, and hold what they should', (t) => {
  const [x, , z] = CASE_MM.inside;
  const sizeOf = (solid: Solid): number[] => boxOf(solid)[1]!.map((end, i) => end - boxOf(solid)[0]![i]!);
  const near = (got: number, wanted: number): void => void t.true(Math.abs(got - wanted) < 1e-6, `${got}`);
  near(sizeOf(tray)[0]!, x + 2 * CASE_MM.wall);
  near(sizeOf(tray)[1]!, sizeOf(lid)[1]!);
  near(sizeOf(tray)[2]!, z + CASE_MM.wall);
  near(sizeOf(lid)[2]!, CASE_MM.wall + CASE_MM.lip);
});

test('the lid, turned over, fits the tray without touching it', (t) => {
  const closed = modeling.transforms.translate(
    [0, 0, CASE_MM.inside[2] + 2 * CASE_MM.wall + 0.01],
    modeling.transforms.rotateX(Math.PI, lid),
  );
  const shared = modeling.booleans.intersect(tray, closed);
  t.is(modeling.geometries.geom3.toPolygons(shared).length, 0);
});

test('it is printed of less plastic than the bill says', (t) => {
  const gramsPerMm3 = 1.27e-3; // PETG
  t.true((volumeMm3(tray) + volumeMm3(lid)) * gramsPerMm3 < 75);
});
