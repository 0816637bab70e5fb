/**
 * Review mode of the report. The list of actions is the state: the last action on a face is its decision, and
 * undo removes the last action. It is kept in localStorage, by run and dataset, and read again at a reload.
 */

const byId = (id) => document.getElementById(id);
const content = JSON.parse(byId("review-content").textContent);
const { faces, unit, lines } = content;
const pictures = document.querySelectorAll(".review-jpeg");
const index = new Map(faces.map((face, k) => [face.face, k]));
const place = `lidloop-review/${content.run}/${content.file.dataset}`;
const verdicts = [...document.querySelectorAll(".verdict-button")];
const dialog = byId("review-dialog");

const KINDS = { human: "human label", grown: "grown label", dropped: "dropped face" };
const CLOSE_UP = 0.15; // share of the box that is shown around it

let state = { session: randomText(), actions: [] };
let here = 0;
let kept = true; // false if the browser does not keep the decisions
let saved = true; // false if there are decisions that are not in a saved file

function randomText() {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((n) => n.toString(16).padStart(2, "0")).join("");
}

/** Read the state that the browser keeps; what is damaged counts as nothing. */
function load() {
  let found = null;
  try {
    found = JSON.parse(localStorage.getItem(place));
  } catch (error) {
    if (!(error instanceof SyntaxError)) kept = false;
  }
  const sound = (action) => ["face", "verdict", "note", "at"].every((name) => typeof action?.[name] === "string");
  if (typeof found?.session === "string" && Array.isArray(found.actions) && found.actions.every(sound)) state = found;
}

function keep() {
  saved = false;
  try {
    localStorage.setItem(place, JSON.stringify(state));
  } catch {
    kept = false;
  }
}

/** The last action on every face of this page, by the number of the face. Others belong to other pages. */
function decided() {
  const found = new Map();
  for (const action of state.actions) {
    if (index.has(action.face)) found.set(index.get(action.face), action);
  }
  return found;
}

const buttonOf = (action) =>
  verdicts.find(({ dataset }) => dataset.verdict === action?.verdict && dataset.note === action?.note);
const nameOf = (action) => buttonOf(action)?.querySelector("b").textContent ?? "not decided";

function say(text) {
  byId("review-live").textContent = text;
}

function draw(tag, properties) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  return element;
}

function colourOf(kind) {
  const order = ["human", "grown", "dropped"];
  return document.querySelectorAll(".review-side .swatch")[order.indexOf(kind)].style.backgroundColor;
}

function rectangle([x1, y1, x2, y2], colour, dashed) {
  const size = { x: x1, y: y1, width: Math.max(x2 - x1, 0), height: Math.max(y2 - y1, 0), fill: "none" };
  const line = dashed ? { "stroke-dasharray": "12 8" } : {};
  return [
    draw("rect", { ...size, stroke: "#101010", "stroke-width": 5 }),
    draw("rect", { ...size, ...line, stroke: colour, "stroke-width": 2.5 }),
  ];
}

/** Contours and dots of the visible points, with a dark rim that shows on any skin. */
function landmarks(points, size) {
  const width = Math.max(1.5, size / 160);
  const rims = [], strokes = [], dots = [];
  for (const { points: group, colour, closed } of lines) {
    const order = closed ? [...group, group[0]] : group;
    for (let k = 1; k < order.length; k++) {
      const [a, b] = [points[order[k - 1]], points[order[k]]];
      if (!a[2] || !b[2]) continue;
      const ends = { x1: a[0], y1: a[1], x2: b[0], y2: b[1] };
      rims.push(draw("line", { ...ends, stroke: "#101010", "stroke-width": 2.4 * width }));
      strokes.push(draw("line", { ...ends, stroke: colour, "stroke-width": width }));
    }
    for (const k of group) {
      const [cx, cy, seen] = points[k];
      if (!seen) continue;
      const fill = seen > 1 ? colour : "none";
      const rim = seen > 1 ? "#101010" : colour;
      dots.push(draw("circle", { cx, cy, r: 1.7 * width, fill, stroke: rim, "stroke-width": width / 2 }));
    }
  }
  return [...rims, ...strokes, ...dots];
}

const pressed = (id) => byId(id).getAttribute("aria-pressed") === "true";
const toggle = (id) => {
  byId(id).setAttribute("aria-pressed", String(!pressed(id)));
  show();
};

function view({ box }) {
  if (!pressed("review-near")) return `0 0 ${unit} ${unit}`;
  const side = (1 + 2 * CLOSE_UP) * Math.max(box[2] - box[0], box[3] - box[1]);
  return `${(box[0] + box[2] - side) / 2} ${(box[1] + box[3] - side) / 2} ${side} ${side}`;
}

function show() {
  const face = faces[here];
  const all = decided();
  const action = all.get(here);
  const picture = byId("review-picture");
  const jpeg = `data:image/jpeg;base64,${pictures[here].textContent}`;
  const size = Math.max(face.box[2] - face.box[0], face.box[3] - face.box[1]);
  picture.setAttribute("viewBox", view(face));
  const crop = draw("svg", { width: unit, height: unit, overflow: "hidden" });
  crop.append(
    draw("image", { href: jpeg, width: unit, height: unit, preserveAspectRatio: "none" }),
    ...face.others.flatMap((box) => rectangle(box, "#ffffff", true)),
    ...rectangle(face.box, colourOf(face.kind), false),
    ...(pressed("review-points") ? landmarks(face.points, size) : []),
  );
  picture.replaceChildren(crop);
  const found = face.origin < 0 ? "given by a person" : `for v${face.origin + 1}, score ${face.score.toFixed(2)}`;
  byId("review-caption").textContent = `Face ${here + 1} of ${faces.length}: ${KINDS[face.kind]}, ${face.face}`;
  byId("review-facts").replaceChildren(
    ...[["Kind", KINDS[face.kind]], ["Found", found], ["Mostly for", face.why], ["Suspicion", face.suspicion.toFixed(2)],
      ["Decision", nameOf(action)]].flatMap(([name, value]) => {
      const pair = [document.createElement("dt"), document.createElement("dd")];
      pair[0].textContent = name;
      pair[1].textContent = value;
      return pair;
    }),
  );
  for (const button of verdicts) button.setAttribute("aria-pressed", String(button === buttonOf(action)));
  byId("review-progress").value = all.size;
  const counts = verdicts
    .map((button) => [[...all.values()].filter((one) => buttonOf(one) === button).length, nameOf(button.dataset)])
    .filter(([n]) => n)
    .map(([n, name]) => `${n} ${name.toLowerCase()}`);
  byId("review-count").textContent = `${all.size} of ${faces.length} decided${counts.length ? ": " : ""}${counts.join(", ")}`;
  byId("review-state").textContent = `${all.size} of ${faces.length} decided`;
  byId("review-back").setAttribute("aria-disabled", String(here === 0));
  byId("review-next").setAttribute("aria-disabled", String(here === faces.length - 1));
  byId("review-undo").setAttribute("aria-disabled", String(all.size === 0));
  byId("review-save").setAttribute("aria-disabled", String(all.size === 0));
  byId("review-warning").hidden = kept;
}

function describe() {
  const face = faces[here];
  return `Face ${here + 1} of ${faces.length}, ${KINDS[face.kind]}, mostly for ${face.why}: ${nameOf(decided().get(here))}.`;
}

function go(to, before = "") {
  const inside = to >= 0 && to < faces.length;
  if (inside) here = to;
  show();
  say(`${before}${inside ? describe() : to < 0 ? "This is the first face." : "This is the last face."}`);
}

function decide({ dataset }) {
  const { verdict, note } = dataset;
  state.actions.push({ face: faces[here].face, verdict, note, at: new Date().toISOString() });
  keep();
  go(here + 1, `Face ${here + 1}: ${nameOf(dataset)}. `);
}

function undo() {
  const last = state.actions.findLastIndex((action) => index.has(action.face));
  if (last < 0) {
    say("There is nothing to undo.");
    return;
  }
  const [action] = state.actions.splice(last, 1);
  keep();
  go(index.get(action.face), `Undone: ${nameOf(action)}. `);
}

/** Number of the first face from `start` on, then from the front, that is not decided; -1 without one. */
function undecided(start) {
  const all = decided();
  const order = faces.map((_, k) => (start + k) % faces.length);
  return order.find((k) => !all.has(k)) ?? -1;
}

function goUndecided() {
  const to = undecided(here + 1);
  if (to < 0) say("All faces of this page are decided.");
  else go(to);
}

function save() {
  const all = [...decided()].sort(([a], [b]) => a - b);
  if (!all.length) {
    say("There is no decision to save.");
    return;
  }
  const file = {
    ...content.file,
    session: state.session,
    pictures: Object.fromEntries(all.map(([k]) => [faces[k].image, faces[k].sha256])),
    decisions: all.map(([k, { verdict, note, at }]) => (
      { face: faces[k].face, image: faces[k].image, verdict, points: null, reviewer: null, at, note }
    )),
  };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(file, null, 1), "\n"], { type: "application/json" }));
  link.download = "decisions.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  saved = true;
  say(`Saved ${all.length} decisions in decisions.json.`);
}

function open() {
  const to = undecided(0);
  dialog.showModal();
  byId("review-stage").focus();
  go(Math.max(to, 0));
}

const ACTIONS = {
  "review-back": () => go(here - 1),
  "review-next": () => go(here + 1),
  "review-undo": undo,
  "review-open-face": goUndecided,
  "review-points": () => toggle("review-points"),
  "review-near": () => toggle("review-near"),
  "review-save": save,
};

for (const [id, act] of Object.entries(ACTIONS)) byId(id).addEventListener("click", act);
for (const button of verdicts) button.addEventListener("click", () => decide(button));
byId("review-open").addEventListener("click", open);
byId("review-close").addEventListener("click", () => dialog.close());

const keys = new Map();
for (const button of dialog.querySelectorAll("[data-key]")) {
  for (const key of button.dataset.key.split(" ")) keys.set(key, button);
}
dialog.addEventListener("keydown", (event) => {
  const plain = !event.altKey && !event.metaKey && !event.ctrlKey;
  const button = keys.get(event.key.toLowerCase());
  if (!button || event.repeat || !(plain || (event.ctrlKey && button.id === "review-undo"))) return;
  event.preventDefault();
  button.click();
});
addEventListener("storage", (event) => {
  if (event.key !== place) return;
  load();
  show();
});
addEventListener("beforeunload", (event) => {
  if (!kept && !saved) event.preventDefault();
});

load();
if (faces.length) show();
byId("review-open").disabled = !faces.length;
