/** Close-ups of both eyes, in their order in the picture: zoom, panning, and setting pupils by hand. */

import { announce, h } from "./dom.js";
import { cross, drawCloseup, drawPicture, prepared } from "./draw.js";
import { around, closeupWidth, downOf, eyeOf, pictureSide } from "./geometry.js";
import { EYE, SIDES, SHORT, fixed } from "./words.js";

const ASPECT = 0.76; // height over width
const CLICK_PX = 5; // largest movement of a pointer that counts as a click
const PLACED = "#ff8ad8";
const MAX_ZOOM = 8;

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Text alternative of a close-up for screen readers. */
function described(face, side) {
  const eye = face.eyes[side];
  const lids = eye.lids.method === "pixels" ? "found in the pixels" : "from the landmarks";
  const pupil = eye.pupil ? `pupil ${eye.pupil.method === "given" ? "set by hand" : "found"}` : "no pupil found";
  const lengths = Object.keys(SHORT)
    .filter((key) => eye[key])
    .map((key) => `${SHORT[key]} ${eye[key].mm === null ? `${fixed(eye[key].px)} pixels` : `${fixed(eye[key].mm)} millimetres`}`);
  return `Close-up of the ${EYE[side]} (${side}): lid margins ${lids}, ${pupil}. ${lengths.join(", ") || "Nothing measured"}.`;
}

export class CloseUps {
  /**
   * @param {HTMLElement} container parent of the close-ups.
   * @param {{placed: function(Object), zoomed: function(number), ended: function()}} listeners `placed` gets the
   *   pupils placed so far, [x, y] by side; `zoomed` the new zoom; `ended` is called on Escape while placing.
   */
  constructor(container, listeners) {
    this.listeners = listeners;
    this.zoom = 1;
    this.placing = false;
    this.eyes = Object.fromEntries(SIDES.map((side) => [side, this.#eye(side)]));
    this.container = container;
    new ResizeObserver(() => this.draw()).observe(container);
  }

  #eye(side) {
    const canvas = h("canvas", { role: "img" });
    const caption = h("strong", { id: `caption-${side}` }, `${capital(EYE[side])} · ${side}`);
    const where = h("span", {});
    const box = h(
      "div",
      { class: "closeup", tabindex: "0", role: "group", "data-side": side, "aria-labelledby": `caption-${side}`, "aria-describedby": "closeup-keys" },
      canvas,
    );
    const eye = { side, canvas, box, where, pan: [0, 0], cursor: null, placed: null };
    eye.figure = h("figure", {}, h("figcaption", {}, caption, " ", where), box);
    this.#listen(eye);
    return eye;
  }

  /** Show the eyes of a face; `scene` is `{bitmap, answer, face, layers}`. `anew` resets zoom and panning. */
  show(scene, anew) {
    this.scene = scene;
    const mirrored = scene.answer.image.mirrored;
    const order = mirrored ? [...SIDES].reverse() : SIDES;
    if (anew || this.container.firstElementChild !== this.eyes[order[0]].figure) {
      this.container.replaceChildren(...order.map((side) => this.eyes[side].figure));
    }
    for (const eye of Object.values(this.eyes)) {
      if (anew) eye.pan = [0, 0];
      eye.where.textContent = `at the picture’s ${pictureSide(eye.side, mirrored)}`;
      eye.canvas.setAttribute("aria-label", described(scene.face, eye.side));
    }
    if (anew) this.setZoom(1);
    else this.draw();
  }

  setZoom(zoom) {
    this.zoom = Math.min(MAX_ZOOM, Math.max(1, zoom));
    if (this.zoom === 1) for (const eye of Object.values(this.eyes)) eye.pan = [0, 0];
    this.listeners.zoomed(this.zoom);
    this.draw();
  }

  /** Turn the mode in which pupils are set by hand on or off. */
  place(on) {
    this.placing = on;
    for (const eye of Object.values(this.eyes)) {
      eye.placed = eye.cursor = null;
      // Screen readers pass arrow keys only to elements of the role application.
      eye.box.setAttribute("role", on ? "application" : "group");
      eye.box.setAttribute("aria-describedby", on ? "pupils-help" : "closeup-keys");
      eye.box.classList.toggle("placing", on);
    }
    this.draw();
  }

  get placed() {
    return Object.fromEntries(Object.values(this.eyes).filter((eye) => eye.placed).map((eye) => [eye.side, eye.placed]));
  }

  draw() {
    if (!this.scene) return;
    // Nothing may cover a pupil while it is set.
    const covers = { iris: false, lines: false, points: false };
    const layers = { ...this.scene.layers, ...(this.placing && covers) };
    for (const eye of Object.values(this.eyes)) {
      const width = eye.box.clientWidth;
      if (!width) continue;
      const height = Math.round(width * ASPECT);
      eye.map = this.#map(eye, width, height);
      const context = prepared(eye.canvas, width, height);
      drawPicture(context, this.scene.bitmap, eye.map, width, height);
      drawCloseup(context, eye.map, { ...this.scene, side: eye.side, room: width, layers });
      if (eye.placed) cross(context, eye.map.toCanvas(eye.placed), 9, PLACED, 2);
      if (eye.cursor) cross(context, eye.map.toCanvas(eye.cursor), 16, "#fff", 1.25);
    }
  }

  #map(eye, width, height) {
    const { answer, face } = this.scene;
    const { mirrored } = answer.image;
    const { centre } = eyeOf(face, eye.side, mirrored);
    const down = downOf(face, mirrored);
    const across = closeupWidth(face);
    const base = centre.map((v, k) => v - 0.09 * across * down[k]);
    const pupil = face.eyes[eye.side].pupil;
    const focus = pupil ? [pupil.x, pupil.y] : centre;
    const share = 1 - 1 / this.zoom;
    const middle = base.map((v, k) => v + share * (focus[k] - v) + eye.pan[k]);
    return around(middle, across / this.zoom, width, height);
  }

  #listen(eye) {
    const { box } = eye;
    let start = null;
    box.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !eye.map) return;
      start = { x: event.clientX, y: event.clientY, pan: eye.pan, dragged: false };
      box.setPointerCapture(event.pointerId);
    });
    box.addEventListener("pointermove", (event) => {
      if (!start) return;
      const [dx, dy] = [event.clientX - start.x, event.clientY - start.y];
      start.dragged ||= Math.hypot(dx, dy) > CLICK_PX;
      if (start.dragged) this.#move(eye, [start.pan[0] - dx / eye.map.scale, start.pan[1] - dy / eye.map.scale]);
    });
    box.addEventListener("pointerup", (event) => {
      const clicked = start && !start.dragged;
      start = null;
      if (clicked && this.placing) {
        const bounds = eye.canvas.getBoundingClientRect();
        this.#put(eye, eye.map.toPicture([event.clientX - bounds.left, event.clientY - bounds.top]));
      }
    });
    box.addEventListener("pointercancel", () => { start = null; });
    box.addEventListener("keydown", (event) => this.#key(eye, event));
    box.addEventListener("blur", () => {
      eye.cursor = null;
      this.draw();
    });
  }

  #move(eye, pan) {
    const reach = closeupWidth(this.scene.face);
    eye.pan = pan.map((v) => Math.min(reach, Math.max(-reach, v)));
    this.draw();
  }

  #put(eye, [x, y]) {
    const { width, height } = this.scene.answer.image;
    const inside = (v, size) => Math.round(Math.min(size - 1, Math.max(0, v)) * 100) / 100;
    eye.placed = [inside(x, width), inside(y, height)];
    eye.cursor = null;
    this.draw();
    this.listeners.placed(this.placed);
  }

  #key(eye, event) {
    if (event.ctrlKey || event.metaKey || !this.scene) return;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (arrow && this.placing) this.#step(eye, arrow, event.shiftKey ? 10 : event.altKey ? 0.1 : 1);
    else if (arrow) this.#move(eye, eye.pan.map((v, k) => v + (arrow[k] * 30) / eye.map.scale));
    else if (event.key === "+" || event.key === "=") this.setZoom(this.zoom + 0.5);
    else if (event.key === "-") this.setZoom(this.zoom - 0.5);
    else if (event.key === "0") this.setZoom(1);
    else if (event.key === "Enter" && this.placing) this.#put(eye, eye.cursor ?? this.#begin(eye));
    else if (event.key === "Escape" && this.placing) this.listeners.ended();
    else return;
    event.preventDefault();
  }

  #begin(eye) {
    const pupil = this.scene.face.eyes[eye.side].pupil;
    return eye.placed ?? (pupil ? [pupil.x, pupil.y] : eyeOf(this.scene.face, eye.side, this.scene.answer.image.mirrored).centre);
  }

  #step(eye, arrow, px) {
    eye.cursor = (eye.cursor ?? this.#begin(eye)).map((v, k) => v + arrow[k] * px);
    this.draw();
    clearTimeout(this.said);
    this.said = setTimeout(() => eye.cursor && announce(`x ${fixed(eye.cursor[0])}, y ${fixed(eye.cursor[1])}`), 400);
  }
}
