/** Result as text and a table. */

import { h } from "./dom.js";
import { ADVICE, EYE, FLAG, ROWS, SCALE, SHORT, SIDES, fixed, sentence } from "./words.js";

const SHAPES = {
  // Levels differ in shape, not only in colour.
  none: "M10 2a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM6 10l3 3 5-6",
  suspicious: "M10 2 19 18H1zM10 8v5M10 15.2v.3",
  functional: "M6.5 2h7L18 6.5v7L13.5 18h-7L2 13.5v-7zM10 6v5M10 13.7v.3",
  undetermined: "M10 2a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM7.6 8a2.4 2.4 0 1 1 3.6 2c-.8.5-1.2.9-1.2 1.8M10 14.3v.3",
};
const SVG = "http://www.w3.org/2000/svg";

function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

/** One-line summary of a face, for the list of faces and for screen readers. */
export function summary(face) {
  return FLAG[face.flag.level].title(face.flag.sides);
}

/** Radio buttons that select a face; null if there is only one. */
function faces(answer, selected, choose) {
  if (answer.faces.length < 2) return null;
  const options = answer.faces.map((face, k) =>
    h(
      "label",
      { class: "check" },
      h("input", { type: "radio", name: "face", value: String(k), checked: k === selected, onchange: () => choose(k) }),
      h("strong", {}, `Face ${k + 1}`),
      ` ${summary(face)}`,
    ),
  );
  return h("fieldset", { class: "faces" }, h("legend", {}, `${answer.faces.length} faces`), options);
}

function flag(face, notice) {
  const { level, sides, reasons } = face.flag;
  const { problems } = face.quality; // shown with the photograph, except where they leave no judgement
  const shown = level === "undetermined" ? reasons : reasons.filter(({ text }) => !problems.some((one) => one.text === text));
  const uncertain = shown.filter(({ code }) => code === "near-threshold");
  const clear = shown.filter(({ code }) => code !== "near-threshold");
  const list = (some) => h("ul", {}, some.map(({ text }) => h("li", {}, sentence(text))));
  return h(
    "div",
    { class: `flag ${level}` },
    icon(level),
    h("h3", {}, FLAG[level].title(sides)),
    h("p", {}, FLAG[level].text),
    clear.length > 0 && list(clear),
    uncertain.length > 0 && h("div", { class: "uncertain" }, h("h4", {}, "Uncertain"), list(uncertain)),
    h("p", { class: "hint" }, notice),
  );
}

function withAdvice(reason) {
  const advice = ADVICE[reason.code];
  if (!advice) return [sentence(reason.text)];
  const text = reason.code === "no-pupil" ? h("a", { href: "#pupils-set" }, advice) : h("span", { class: "advice" }, advice);
  return [sentence(reason.text), " ", text];
}

/** Warnings about the file and about unused parameters; null if there are none. */
function warnings(answer, face) {
  const said = new Set(face.quality.problems.map(({ text }) => text)); // shown with the quality
  const left = answer.warnings.filter(({ text }) => !said.has(text));
  if (left.length === 0) return null;
  return h("ul", { class: "warnings" }, left.map((reason) => h("li", {}, withAdvice(reason))));
}

function quality(face) {
  const { usable, problems } = face.quality;
  if (usable) {
    const whole = withheldOf(face).length === 0;
    const text = whole ? "good enough to measure." : "usable, but not everything could be measured; see “Withheld”.";
    return h("p", { class: "quality" }, h("strong", {}, "Photograph: "), text);
  }
  return h(
    "div",
    { class: "quality unusable" },
    h("h3", {}, face.flag.level === "undetermined" ? "The photograph is not good enough" : "The photograph could be better"),
    h("ul", {}, problems.map((reason) => h("li", {}, withAdvice(reason)))),
  );
}

/** Withheld measurements, one entry per reason: `{reason, what: ["MRD1 (OD, OS)", …]}`. */
function withheldOf(face) {
  const entries = new Map();
  for (const { key } of ROWS) {
    for (const side of SIDES) {
      const reason = face.eyes[side].withheld[key];
      if (!reason) continue;
      if (!entries.has(reason.text)) entries.set(reason.text, { reason, sides: {} });
      (entries.get(reason.text).sides[key] ??= []).push(side);
    }
  }
  return [...entries.values()].map(({ reason, sides }) => ({
    reason,
    what: Object.entries(sides).map(([key, some]) => `${SHORT[key]} (${some.join(", ")})`),
  }));
}

const plus = (value) => (value > 0 && fixed(value) !== fixed(0) ? "+" : "");

function lengthCell(length, signed = false) {
  const said = (value) => (signed ? plus(value) : "") + fixed(value);
  const px = `${said(length.px)} px`;
  if (length.mm === null) return [h("span", { class: "figure" }, px), h("span", { class: "small" }, length.method)];
  return [
    h("span", { class: "figure" }, said(length.mm), h("span", { class: "unit" }, " mm")),
    length.mm_error !== null && h("span", { class: "band" }, ` ± ${fixed(length.mm_error)}`),
    h("span", { class: "small" }, `${px} · ${length.method}`),
  ];
}

// Explicit roles, because browsers drop the table semantics when CSS changes the layout of the cells on phones.
const cell = (...children) => h("td", { role: "cell" }, ...children);
const head = (name, ...children) => h("th", { scope: "row", role: "rowheader" }, h("strong", {}, name), ...children);

function lengthRow(face, { key, short, name }, withheld) {
  const cells = SIDES.map((side) => {
    const eye = face.eyes[side];
    if (eye[key]) return cell(lengthCell(eye[key]));
    const k = withheld.findIndex(({ reason }) => reason.text === eye.withheld[key]?.text);
    if (k < 0) return cell("–");
    return cell(h("span", { class: "withheld" }, "withheld"), h("a", { href: `#why-${k + 1}`, "aria-label": `reason ${k + 1}` }, h("sup", {}, String(k + 1))));
  });
  const difference = face.differences[key];
  return h("tr", { role: "row", "data-row": key }, head(short, h("span", { class: "small" }, name)), cells, cell(difference ? lengthCell(difference, true) : h("span", { class: "small" }, "–")));
}

function table(face) {
  const withheld = withheldOf(face);
  const ratios = SIDES.map((side) => {
    const value = face.eyes[side].height_to_width;
    return cell(value === null ? "–" : h("span", { class: "figure" }, fixed(value, 2)));
  });
  const column = (...children) => h("th", { scope: "col", role: "columnheader" }, ...children);
  return [
    h(
      "table",
      { role: "table", "aria-label": "Measurements of both eyes" },
      h(
        "thead",
        { role: "rowgroup" },
        h("tr", { role: "row" }, column("Measured"), SIDES.map((side) => column(side, h("span", { class: "small" }, EYE[side]))), column("OD − OS", h("span", { class: "small" }, "difference"))),
      ),
      h(
        "tbody",
        { role: "rowgroup" },
        ROWS.map((row) => lengthRow(face, row, withheld)),
        h("tr", { role: "row", "data-row": "height_to_width" }, head("PFH / width"), ratios, cell(h("span", { class: "small" }, "–"))),
      ),
    ),
    withheld.length > 0 &&
      h(
        "div",
        { class: "why" },
        h("h3", {}, "Withheld"),
        h("ol", {}, withheld.map(({ reason, what }, k) => h("li", { id: `why-${k + 1}` }, h("strong", {}, what.join(", ")), ": ", withAdvice(reason)))),
      ),
    h("p", { class: "hint scale" }, scaleText(face.scale)),
  ];
}

function scaleText(scale) {
  if (!scale) return "No scale is known, so there are no millimetres. Give millimetres per pixel, or a photograph with both irises in view.";
  const error = scale.relative_error > 0 ? `, ± ${fixed(100 * scale.relative_error)} %` : "";
  return `Scale: ${scale.mm_per_px.toPrecision(3)} mm per pixel, ${SCALE[scale.method]}${error}. After ±: half the width of the error band. “pixels”: the lid margin was found in the eye’s own pixels; “landmarks”: it comes from the less exact landmarks.`;
}

function pupilText(pupil) {
  if (!pupil) return "not found";
  if (pupil.method === "given") return "set by hand";
  return `found in the pixels, quality ${fixed(pupil.quality, 2)} of 1`;
}

function details(answer, face, when) {
  const { model, image } = answer;
  const entries = [
    ["Model", `${model.name}${model.version === null ? "" : ` version ${model.version}`}, iteration ${model.iteration}, ${model.digest.slice(0, 12)}`],
    ["Request", answer.request_id],
    ["Screened", when],
    ["Photograph", `${image.width} × ${image.height} pixels${image.mirrored ? ", mirrored" : ""}`],
    ["Certainty that this is a face", `${fixed(100 * face.score, 0)} %`],
    ["Head", `tilted by ${fixed(face.pose.roll_deg)}°; turned by ${fixed(face.pose.yaw, 2)} on a scale from −1 to 1`],
    ...SIDES.map((side) => [`Pupil ${side}`, pupilText(face.eyes[side].pupil)]),
  ];
  return h("details", { class: "about" }, h("summary", {}, "About this answer"), h("dl", {}, entries.map(([term, text]) => [h("dt", {}, term), h("dd", {}, text)])));
}

/**
 * Elements of the result: everything about the picture and one face.
 *
 * @param {Object} answer of the server, with at least one face.
 * @param {number} selected index of the face.
 * @param {{when: string, select: function(number)}} about time of the screening; callback when another face
 *   is selected.
 * @returns {HTMLElement[]}
 */
export function all(answer, selected, { when, select }) {
  const face = answer.faces[selected];
  return [
    faces(answer, selected, select),
    flag(face, answer.notice),
    warnings(answer, face),
    quality(face),
    ...table(face),
    details(answer, face, when),
  ].filter(Boolean);
}
