/** Form fields about the photograph. */

import { byId } from "./dom.js";

const MAX_FACES = 50;

const number = (id) => {
  const text = byId(id).value.trim().replace(",", ".");
  return text === "" ? null : Number(text);
};

/** Entered millimetres per pixel of the file; null if empty, NaN if not a number. */
export const mmPerPx = () => number("mm-per-px");

function check(id, error, wrong) {
  byId(error).textContent = wrong ?? "";
  byId(error).hidden = !wrong;
  byId(id).setAttribute("aria-invalid", String(Boolean(wrong)));
  return !wrong;
}

/**
 * Validate the entered values; errors are shown beside their fields.
 *
 * @param {number} factor width of the sent picture over that of the file.
 * @returns {?{mirrored: boolean, mmPerPx: ?number, maxFaces: ?number, key: string}} `mmPerPx` of the sent
 *   picture; null if a value is not valid.
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

/** Call `mirrored` when that field changes, `changed` when another one does. */
export function listen({ changed, mirrored }) {
  byId("options").onsubmit = (event) => event.preventDefault();
  byId("mirrored").onchange = mirrored;
  byId("mm-per-px").onchange = changed;
  byId("max-faces").onchange = changed;
  byId("key").onchange = changed;
}
