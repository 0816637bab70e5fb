/** Canvas with the photograph and its faces, and the close-ups of the selected face. */

import { byId } from "./dom.js";
import { drawPhoto, drawPicture, prepared } from "./draw.js";
import { mapping, pictureSide } from "./geometry.js";
import { EYE, SIDES } from "./words.js";

/** Layers that check boxes show or hide. */
export const LAYERS = ["lids", "iris", "lines", "points"];

const HEIGHT_SHARE = 0.55; // largest height of the photograph over that of the window
const LEAST_WINDOW = 640;

let map = null; // mapping of the photograph as last drawn

/** True if the picture has the same size here as on the server; else nothing is drawn over it. */
export function drawable({ picture, answer }) {
  return picture?.bitmap?.width === answer.image.width && picture.bitmap.height === answer.image.height;
}

/** Draw photograph and close-ups; `anew` resets zoom and panning. Does nothing without a picture. */
export function draw(state, closeups, anew) {
  const { picture, answer, selected } = state;
  if (!picture?.bitmap) return;
  const { bitmap } = picture;
  const canvas = byId("photo");
  const room = canvas.parentElement.clientWidth;
  const most = HEIGHT_SHARE * Math.max(window.innerHeight, LEAST_WINDOW);
  const scale = Math.min(room / bitmap.width, most / bitmap.height);
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = prepared(canvas, width, height);
  map = mapping(scale, [0, 0]);
  drawPicture(context, bitmap, map, width, height);
  canvas.setAttribute("aria-label", described(state));
  if (!answer || !drawable(state)) return;
  const layers = Object.fromEntries(LAYERS.map((name) => [name, byId(`layer-${name}`).checked]));
  drawPhoto(context, map, { answer, selected, layers });
  closeups.show({ bitmap, answer, face: answer.faces[selected], layers }, anew);
}

/** Index of the face at a pointer event on the photograph; null for none. */
export function faceAt(state, { offsetX, offsetY }) {
  if (!state.answer || !drawable(state)) return null;
  const [x, y] = map.toPicture([offsetX, offsetY]);
  const hit = state.answer.faces.findIndex(({ box }) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3]);
  return hit < 0 ? null : hit;
}

function described(state) {
  const { picture, answer, selected } = state;
  const size = `The photograph, ${picture.bitmap.width} by ${picture.bitmap.height} pixels`;
  if (!answer) return `${size}.`;
  if (!drawable(state)) return `${size}. The server saw it in another size, so nothing is drawn over it.`;
  const { faces, image } = answer;
  const many = faces.length === 1 ? "one face" : `${faces.length} faces, of which face ${selected + 1} is chosen`;
  const sides = SIDES.map((side) => `the ${EYE[side]} (${side}) at the picture’s ${pictureSide(side, image.mirrored)}`);
  return `${size}, with ${many}; ${sides.join(", ")}. Landmarks, lid margins, irises and pupils are drawn over it.`;
}
