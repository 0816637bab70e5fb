/**
 * Geometry of eyes and lengths, in pixels of the upright picture. A point is [x, y]; whole numbers are centres of
 * pixels, as in the server's answer.
 */

const add = (a, b) => [a[0] + b[0], a[1] + b[1]];
const sub = (a, b) => [a[0] - b[0], a[1] - b[1]];
const times = (a, k) => [a[0] * k, a[1] * k];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1];
const unit = (a) => times(a, 1 / (Math.hypot(...a) || 1));
const mean = (points) => times(points.reduce(add), 1 / points.length);

export const middle = (a, b) => mean([a, b]);

/** Side of the picture on which an eye is: "left" for OD in an unmirrored photograph. */
export function pictureSide(side, mirrored) {
  return (side === "OD") === mirrored ? "right" : "left";
}

/**
 * Position of an eye. Its canthi, between which the width is measured, are the ends of the lid margins if these
 * were found in the pixels, else the landmarks.
 *
 * @returns {{at, outer, inner, centre, width, outward}} side of the picture; canthi, their middle and distance,
 *   and the direction from the inner to the outer one.
 */
export function eyeOf(face, side, mirrored) {
  const at = pictureSide(side, mirrored);
  const { method, upper } = face.eyes[side].lids;
  const found = method === "pixels" && [upper[0], upper.at(-1)];
  const [outer, inner] = found || ["outer", "inner"].map((end) => face.landmarks[`${at}_eye_${end}_canthus`]);
  const span = sub(outer, inner);
  return { at, outer, inner, centre: middle(outer, inner), width: Math.hypot(...span), outward: unit(span) };
}

/**
 * Direction "down" of a face, along which heights are measured: perpendicular to the line between the outer
 * canthi, which are both from the pixels or both landmarks.
 */
export function downOf(face, mirrored) {
  const eyes = ["OD", "OS"].map((side) => eyeOf(face, side, mirrored));
  const found = ["OD", "OS"].every((side) => face.eyes[side].lids.method === "pixels");
  const end = (at) => (found ? eyes.find((eye) => eye.at === at).outer : face.landmarks[`${at}_eye_outer_canthus`]);
  const along = unit(sub(end("right"), end("left")));
  return [-along[1], along[0]];
}

/**
 * Measured lengths of an eye as lines: end points `from` and `to`, and `at`, the end points of the drawn line,
 * which may be beside the measured one.
 *
 * @returns {{name: string, from, to, at: [from, to]}[]} without withheld lengths.
 */
export function lines(face, side, mirrored) {
  const eye = eyeOf(face, side, mirrored);
  const measured = face.eyes[side];
  const down = downOf(face, mirrored);
  const aside = times(eye.outward, 0.62 * eye.width);
  const upper = ["outer", "inner"].map((end) => face.landmarks[`${eye.at}_eye_upper_lid_${end}`]);
  const found = [];
  const put = (name, from, to, shift) => {
    const at = shift ? [add(from, shift), add(to, shift)] : [from, to];
    if (measured[name]) found.push({ name, from, to, at });
  };
  const pupil = measured.pupil && [measured.pupil.x, measured.pupil.y];
  if (pupil && measured.mrd1) put("mrd1", pupil, sub(pupil, times(down, measured.mrd1.px)));
  if (pupil && measured.mrd2) put("mrd2", pupil, add(pupil, times(down, measured.mrd2.px)));
  if (measured.pfh) {
    const [top, bottom] = pupil && measured.mrd1 && measured.mrd2
      ? [-measured.mrd1.px, measured.mrd2.px].map((px) => add(pupil, times(down, px)))
      : [-0.5, 0.5].map((half) => add(between(measured.lids), times(down, half * measured.pfh.px)));
    const shift = sub(aside, times(eye.outward, dot(sub(top, eye.centre), eye.outward)));
    put("pfh", top, bottom, shift);
  }
  put("width", eye.outer, eye.inner, times(down, 0.4 * eye.width));
  const brow = mean([0, 1, 2, 3, 4].map((k) => face.landmarks[`${eye.at}_brow_${k}`]));
  put("brow_lid", brow, mean(upper));
  return found;
}

/** Point halfway between the middles of both lid margins. */
function between({ upper, lower }) {
  return mean([upper, lower].map((lid) => lid[Math.floor(lid.length / 2)]));
}

/** Width of a close-up at zoom 1, in pixels: the same for both eyes, so that they can be compared. */
export function closeupWidth(face) {
  return 1.75 * Math.max(...["OD", "OS"].map((side) => eyeOf(face, side, false).width), 8);
}

/**
 * Mapping between picture and canvas: `toCanvas([x, y])`, `toPicture([x, y])`, `scale` in canvas units per pixel,
 * and `origin`, the top left visible point in continuous coordinates of the picture (pixel 0 spans 0…1).
 */
export function mapping(scale, origin) {
  return {
    scale,
    origin,
    toCanvas: ([x, y]) => [(x + 0.5 - origin[0]) * scale, (y + 0.5 - origin[1]) * scale],
    toPicture: ([x, y]) => [x / scale + origin[0] - 0.5, y / scale + origin[1] - 0.5],
  };
}

/** Mapping of a close-up of `width` × `height` canvas units around a point. */
export function around(point, pixelsAcross, width, height) {
  const scale = width / pixelsAcross;
  return mapping(scale, [point[0] + 0.5 - width / 2 / scale, point[1] + 0.5 - height / 2 / scale]);
}
