/** Draw landmarks and measurements over the picture, with a dark edge for contrast on any skin. */

import { downOf, eyeOf, lines, middle } from "./geometry.js";
import { SHORT, SIDES, fixed } from "./words.js";

const INK = { edge: "rgb(8 16 22 / 0.72)", lids: "#5fe0f2", iris: "#ffd84d", lines: "#ffffff", points: "#b7f397" };
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

/** Set a canvas' resolution for its size on the screen; returns its cleared context in CSS pixels. */
export function prepared(canvas, width, height) {
  const ratio = Math.max(window.devicePixelRatio || 1, 2); // at least 2, for printing
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.imageSmoothingQuality = "high";
  context.lineJoin = context.lineCap = "round";
  return context;
}

export function drawPicture(context, bitmap, map, width, height) {
  const x = Math.max(0, map.origin[0]);
  const y = Math.max(0, map.origin[1]);
  const right = Math.min(bitmap.width, map.origin[0] + width / map.scale);
  const bottom = Math.min(bitmap.height, map.origin[1] + height / map.scale);
  if (right <= x || bottom <= y) return;
  const [left, top] = map.toCanvas([x - 0.5, y - 0.5]);
  context.drawImage(bitmap, x, y, right - x, bottom - y, left, top, (right - x) * map.scale, (bottom - y) * map.scale);
}

function stroke(context, colour, width, dash = []) {
  context.setLineDash([]);
  context.strokeStyle = INK.edge;
  context.lineWidth = width + 2;
  context.stroke();
  context.setLineDash(dash);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
  context.setLineDash([]);
}

function path(context, points, map) {
  context.beginPath();
  for (const point of points) context.lineTo(...map.toCanvas(point));
}

/** Draw a short text on a dark background, centred on a canvas point or, by `align`, beside it. */
function label(context, text, [x, y], { size = 12, align = "center", bold = false } = {}) {
  const rows = text.split("\n");
  context.font = `${bold ? 700 : 600} ${size}px ${FONT}`;
  context.textBaseline = "middle";
  context.textAlign = "center";
  const width = Math.max(...rows.map((row) => context.measureText(row).width)) + size * 0.8;
  const height = rows.length * size * 1.25 + size * 0.3;
  const centre = align === "left" ? x + width / 2 : align === "right" ? x - width / 2 : x;
  context.fillStyle = "rgb(8 16 22 / 0.78)";
  context.beginPath();
  context.roundRect(centre - width / 2, y - height / 2, width, height, size * 0.3);
  context.fill();
  context.fillStyle = "#fff";
  rows.forEach((row, k) => context.fillText(row, centre, y + (k - (rows.length - 1) / 2) * size * 1.25));
}

function drawLids(context, eye, map, width) {
  const dash = eye.lids.method === "landmarks" ? [4, 4] : [];
  for (const lid of [eye.lids.upper, eye.lids.lower]) {
    path(context, lid, map);
    stroke(context, INK.lids, width, dash);
  }
}

function drawIris(context, pupil, map, width) {
  const [x, y] = map.toCanvas([pupil.x, pupil.y]);
  if (pupil.iris_radius) {
    context.beginPath();
    context.arc(x, y, pupil.iris_radius * map.scale, 0, 2 * Math.PI);
    stroke(context, INK.iris, width);
  }
  cross(context, [x, y], 3 + width, INK.iris, width);
}

/** Draw a cross at a canvas point. */
export function cross(context, [x, y], reach, colour = INK.iris, width = 1.5) {
  context.beginPath();
  context.moveTo(x - reach, y);
  context.lineTo(x + reach, y);
  context.moveTo(x, y - reach);
  context.lineTo(x, y + reach);
  stroke(context, colour, width);
}

function drawPoints(context, face, map, radius) {
  for (const point of Object.values(face.landmarks)) {
    context.beginPath();
    context.arc(...map.toCanvas(point), radius, 0, 2 * Math.PI);
    context.fillStyle = INK.points;
    context.strokeStyle = INK.edge;
    context.lineWidth = 1;
    context.fill();
    context.stroke();
  }
}

function drawLine(context, line, map, across) {
  const [from, to] = line.at.map(map.toCanvas);
  if (line.at[0] !== line.from) {
    // Extension lines connect the measured points with the line drawn beside them.
    for (const [a, b] of [[line.from, line.at[0]], [line.to, line.at[1]]]) {
      path(context, [a, b], map);
      context.setLineDash([2, 4]);
      context.strokeStyle = "rgb(255 255 255 / 0.6)";
      context.lineWidth = 1;
      context.stroke();
    }
  }
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  stroke(context, INK.lines, 1.75, line.name === "brow_lid" ? [2, 4] : []);
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
  const [dx, dy] = [((to[1] - from[1]) / length) * across, ((from[0] - to[0]) / length) * across];
  for (const [x, y] of [from, to]) {
    context.beginPath();
    context.moveTo(x - dx, y - dy);
    context.lineTo(x + dx, y + dy);
    stroke(context, INK.lines, 1.75);
  }
}

function lengthText(name, length) {
  const figure = length.mm === null ? `${fixed(length.px)} px` : `${fixed(length.mm)} mm`;
  return `${SHORT[name]}${name === "pfh" ? "\n" : " "}${figure}`;
}

function drawBox(context, [left, top, right, bottom], map, number, selected) {
  const [x, y] = map.toCanvas([left, top]);
  context.beginPath();
  context.rect(x, y, (right - left) * map.scale, (bottom - top) * map.scale);
  stroke(context, INK.lines, selected ? 2.5 : 1.25, selected ? [] : [5, 5]);
  label(context, String(number), [x + 12, y - 14], { bold: true });
}

/** Draw the faces of a picture: details of the selected one, and numbered boxes if there are several. */
export function drawPhoto(context, map, { answer, selected, layers }) {
  const { faces } = answer;
  if (faces.length > 1) faces.forEach(({ box }, k) => drawBox(context, box, map, k + 1, k === selected));
  const face = faces[selected];
  if (layers.points) drawPoints(context, face, map, 1.6);
  for (const side of SIDES) {
    const eye = face.eyes[side];
    if (layers.lids) drawLids(context, eye, map, 1.5);
    if (layers.iris && eye.pupil) drawIris(context, eye.pupil, map, 1.25);
    const { outer, outward, width } = eyeOf(face, side, answer.image.mirrored);
    const at = map.toCanvas([outer[0] + outward[0] * 0.35 * width, outer[1] + outward[1] * 0.35 * width]);
    label(context, side, at, { size: 13, bold: true, align: outward[0] < 0 ? "right" : "left" });
  }
}

/** Draw a close-up of one eye; a small width (`room`, in CSS pixels) has fewer or smaller labels. */
export function drawCloseup(context, map, { answer, face, side, layers, room }) {
  const mirrored = answer.image.mirrored;
  const eye = face.eyes[side];
  if (layers.points) drawPoints(context, face, map, 2);
  if (layers.lids) drawLids(context, eye, map, 2);
  if (layers.iris && eye.pupil) drawIris(context, eye.pupil, map, 1.5);
  if (!layers.lines) return;
  const measured = lines(face, side, mirrored);
  for (const line of measured) drawLine(context, line, map, 4);
  if (room < 220) return;
  const size = room < 300 ? 11 : 12;
  const down = downOf(face, mirrored);
  const away = (point, direction, px) => [point[0] + direction[0] * px, point[1] + direction[1] * px];
  for (const { name, at } of measured) {
    const [from, to] = at.map(map.toCanvas);
    const where = {
      mrd1: () => away(eye.mrd1.px < 0 ? from : to, down, -size * 1.5),
      mrd2: () => away(to, down, size * 1.5),
      pfh: () => away(from, down, -size * 2.2),
      width: () => middle(from, to),
      brow_lid: () => [from[0] + 0.3 * (to[0] - from[0]), from[1] + 0.3 * (to[1] - from[1])],
    }[name]();
    label(context, lengthText(name, eye[name]), where, { size });
  }
}
