/** The fields about the photograph. */

import { byId } from "./dom.js";

const MAX_FACES = 50;

const number = (id) => {
  const text = byId(id).value.trim().replace(",", ".");
  return text === "" ? null : Number(text);
};

/** Millimetres per pixel of the file as entered; null for none, NaN for what is no number. */
export const mmPerPx = () => number("mm-per-px");

function check(id, error, wrong) {
  byId(error).textContent = wrong ?? "";
  byId(error).hidden = !wrong;
  byId(id).setAttribute("aria-invalid", String(Boolean(wrong)));
  return !wrong;
}

/**
 * What was entered, checked; what is wrong is said beside its field.
 *
 * @param {number} factor width of what is sent over that of the file.
 * @returns {?{mirrored: boolean, mmPerPx: ?number, maxFaces: ?number, key: string}} `mmPerPx` of what is sent;
 *   null where something is wrong.
 */
export function read(factor) {
  const [mm, faces] = [mmPerPx(), number("max-faces")];
  const mmRight = mm === null || (mm >= 1e-4 && mm <= 10);
  const facesRight = faces === null || (Number.isInteger(faces) && faces >= 1 && faces <= MAX_FACES);
  const right = [
    check("mm-per-px", "mm-error", mmRight ? null : "A number from 0.0001 to 10, such as 0.12."),
    check("max-faces", "faces-error", facesRight ? null : `A whole number from 1 to ${MAX_FACES}.`),
  ];
  if (right.includes(false)) {
    if (!right[1]) byId("more").open = true;
    return null;
  }
  return {
    mirrored: byId("mirrored").checked,
    mmPerPx: mm === null ? null : mm / factor,
    maxFaces: faces,
    key: byId("key").value.trim(),
  };
}

/** Call back when a field changed; `mirrored` where it is that one. */
export function listen({ changed, mirrored }) {
  byId("options").onsubmit = (event) => event.preventDefault();
  byId("mirrored").onchange = mirrored;
  byId("mm-per-px").onchange = changed;
  byId("max-faces").onchange = changed;
  byId("key").onchange = changed;
}
