/** Main module of the page: input, request, result. All state is in the memory of this module. */

import { send, Stopped } from "./client.js";
import { CloseUps } from "./closeups.js";
import { announce, byId } from "./dom.js";
import * as handover from "./handover.js";
import * as intake from "./intake.js";
import * as messages from "./messages.js";
import * as options from "./options.js";
import { LIMIT, fitted, open, redraw, tooLarge } from "./picture.js";
import * as results from "./results.js";
import * as stage from "./stage.js";
import { bytesInWords, fixed } from "./words.js";

/**
 * picture: {blob, type, bitmap, factor}, the sent picture; `factor` is its width over that of the file.
 * answer: response of the server. pupils: set by hand, by side. selected: index of a face.
 */
const state = { picture: null, answer: null, pupils: {}, selected: 0, when: "" };
let running = null; // AbortController of the pending request
let generation = 0; // counts opened pictures; results of earlier ones are ignored

const closeups = new CloseUps(byId("closeups"), {
  placed: (placed) => showPlaced(placed),
  zoomed: (zoom) => { byId("zoom").value = zoom; },
  ended: () => endPlacing(),
});

// ---- input of a picture ----

async function take(blob) {
  const mine = ++generation;
  forget();
  showWorking("Reading the file…");
  const opened = await open(blob).catch(() => null);
  if (mine !== generation) {
    opened?.bitmap?.close();
    return;
  }
  stop();
  if (!opened) {
    messages.show({ title: "This file cannot be read", text: "It may have been moved, or be a folder. Choose it again." });
    return;
  }
  const { type, bitmap } = opened;
  if (type === "application/dicom") {
    messages.show({ title: "This is a DICOM file", text: "This page shows JPEG, PNG and HEIC photographs. Programs send DICOM to /v1/screen." });
  } else if (!type && !bitmap) {
    messages.show({ title: "This is not a photograph", text: "Use a JPEG, PNG or HEIC file. Nothing was sent." });
  } else if (!type) {
    const action = "Make a JPEG copy and measure it";
    offerCopy(bitmap, { title: "The server does not accept this format", text: "It accepts JPEG, PNG and HEIC. A JPEG copy can be made here.", action });
  } else if (tooLarge(opened)) {
    offerSmaller(blob, bitmap);
  } else {
    use({ blob, type, bitmap, factor: 1 });
  }
}

function offerSmaller(blob, bitmap) {
  const title = "The photograph is too large";
  const limits = `The server accepts up to ${bytesInWords(LIMIT.bytes)} and ${LIMIT.pixels / 1e6} megapixels, ${LIMIT.reducedPixels / 1e6} as a JPEG.`;
  if (!bitmap) {
    messages.show({ title, text: `It has ${bytesInWords(blob.size)}. ${limits} This browser cannot make a smaller copy of it.` });
    return;
  }
  const { width, height } = fitted(bitmap.width, bitmap.height, LIMIT.pixels);
  const text = `It has ${bytesInWords(blob.size)} and ${bitmap.width} × ${bitmap.height} pixels. ${limits}`;
  const action = width < bitmap.width ? `Scale it down to ${width} × ${height} and measure it` : "Compress it and measure it";
  offerCopy(bitmap, { title, text, action });
}

function offerCopy(bitmap, { title, text, action }) {
  const make = () => copy(bitmap, LIMIT, 1);
  const other = messages.button("Choose another…", () => byId("file").click());
  messages.show({ title, text, actions: [messages.button(action, make, true), other] });
}

/** Use a copy of `bitmap` within `limit`; `factor`: width of `bitmap` over that of the file. */
async function copy(bitmap, limit, factor) {
  const mine = generation;
  messages.clear();
  showWorking("Making a smaller copy…");
  try {
    const made = await redraw(bitmap, limit);
    if (bitmap !== state.picture?.bitmap) bitmap.close();
    if (mine === generation) use({ ...made, factor: made.factor * factor });
  } catch (error) {
    if (mine !== generation) return;
    stop();
    messages.show({
      title: "No smaller copy could be made",
      text: "This browser does not have enough memory for it. Scale the photograph down with another program.",
      detail: String(error.message),
    });
  }
}

/** After status 413: send a copy within the limit of the response, or of half the pixels if it has none. */
function sendSmaller({ limit, unit }) {
  const { bitmap, blob, factor } = state.picture;
  const now = bitmap.width * bitmap.height;
  const pixels = unit === "pixels" ? limit : unit === "bytes" ? now : now / 2;
  copy(bitmap, { bytes: unit === "bytes" ? limit : blob.size, pixels }, factor);
}

function use(picture) {
  if (state.picture?.bitmap !== picture.bitmap) state.picture?.bitmap?.close();
  Object.assign(state, { picture, pupils: {}, selected: 0 });
  document.body.classList.add("has-picture");
  byId("choose").textContent = "Choose another…";
  byId("view").hidden = !picture.bitmap;
  clearAnswer();
  showCopied();
  drawStage();
  screen();
}

function forget() {
  stop();
  messages.clear();
  endPlacing();
  state.picture?.bitmap?.close();
  Object.assign(state, { picture: null, pupils: {} });
  clearAnswer();
  byId("view").hidden = true;
}

function clearAnswer() {
  state.answer = null;
  for (const id of ["eyes", "result", "skip-result", "jump"]) byId(id).hidden = true;
  byId("answer").replaceChildren();
}

/** Show that a scaled copy was sent, and the scale of the copy. */
function showCopied() {
  const { bitmap, blob, factor } = state.picture;
  byId("copied").hidden = factor === 1;
  if (factor === 1) return;
  const given = options.mmPerPx();
  const scale = given ? ` The ${given} mm per pixel of the file are ${(given / factor).toPrecision(4)} in the copy.` : "";
  byId("copied").textContent =
    `A copy scaled down to ${fixed(100 * factor)} % was sent: ${bitmap.width} × ${bitmap.height} pixels, ` +
    `${bytesInWords(blob.size)}. Pixels below are those of the copy.${scale}`;
}

// ---- request ----

/** Show progress; `share` is the finished part, null if it is not known. */
function showWorking(text, share = null) {
  byId("working").hidden = false;
  byId("cancel").hidden = running === null;
  byId("working-text").textContent = text;
  if (share === null) byId("progress").removeAttribute("value");
  else byId("progress").value = share;
}

function showProgress(share) {
  if (share === null) showWorking("Measuring…");
  else showWorking(`Sending the photograph: ${Math.round(100 * share)} %`, share);
}

/** Parameters of the request; null if a field is not valid, which then gets the focus. */
function chosen() {
  const given = options.read(state.picture.factor);
  if (!given) document.querySelector("[aria-invalid=true]").focus();
  return given && { ...given, pupils: state.pupils };
}

/** Abort the pending request without a message. */
function stop() {
  const before = running;
  running = null;
  before?.abort();
  byId("working").hidden = true;
  byId("result").removeAttribute("aria-busy");
}

/** Remove the result, because it does not belong to the current options. */
function withoutAnswer() {
  clearAnswer();
  drawStage();
}

async function screen() {
  if (!state.picture) return;
  stop();
  messages.clear();
  endPlacing();
  const given = chosen();
  if (!given) {
    withoutAnswer();
    return;
  }
  const mine = (running = new AbortController());
  byId("result").setAttribute("aria-busy", "true");
  showProgress(0);
  announce("The photograph is being sent and measured.");
  try {
    const body = await send(state.picture, given, { progress: showProgress, signal: mine.signal });
    if (mine === running) showAnswer(JSON.parse(body));
  } catch (error) {
    if (mine === running) {
      withoutAnswer();
      showFailure(error);
    }
  } finally {
    if (mine === running) stop();
  }
}

function showFailure(error) {
  const again = messages.button("Measure it", screen, true);
  if (error instanceof Stopped) {
    messages.show({ title: "Cancelled", text: "The photograph is still here.", actions: [again] });
  } else {
    messages.showFailure(error, { retry: screen, smaller: state.picture.bitmap ? sendSmaller : null });
  }
}

// ---- result ----

function showAnswer(answer) {
  const before = state.answer;
  state.answer = answer;
  state.when = new Date().toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  if (before?.faces.length !== answer.faces.length) state.selected = 0;
  if (answer.empty) {
    clearAnswer();
    drawStage();
    showAdvice(true);
    messages.show({ title: "No face was found", text: answer.empty.replace(/^No face was found\.\s*/, "") });
    return;
  }
  showFace(!before);
  const { faces } = answer;
  const many = faces.length > 1 ? `${faces.length} faces; face ${state.selected + 1}: ` : "";
  announce(`Measured. ${many}${results.summary(faces[state.selected])}. Not a diagnosis. The result follows the picture.`);
}

function showFace(anew) {
  const { answer, selected, when } = state;
  byId("answer").replaceChildren(...results.all(answer, selected, { when, select }));
  byId("pupils-forget").hidden = Object.keys(state.pupils).length === 0;
  showUnused(answer);
  byId("eyes").hidden = !stage.drawable(state);
  for (const id of ["result", "skip-result", "jump"]) byId(id).hidden = false;
  byId("jump").textContent = `Result: ${results.summary(answer.faces[selected])}`;
  showAdvice(!answer.faces[selected].quality.usable);
  drawStage(anew);
}

/** Show or hide the advice on taking a photograph. */
function showAdvice(on) {
  byId("advice").classList.toggle("wanted", on);
}

function select(k) {
  if (k === state.selected) return;
  endPlacing();
  state.selected = k;
  showFace(true);
  document.querySelector(`input[name=face][value="${k}"]`)?.focus();
  announce(`Face ${k + 1}: ${results.summary(state.answer.faces[k])}.`);
}

function drawStage(anew = false) {
  stage.draw(state, closeups, anew);
}

// ---- pupils by hand ----

function startPlacing() {
  closeups.place(true);
  byId("pupils-panel").hidden = false;
  byId("pupils-set").hidden = true;
  showPlaced({});
  document.querySelector(".closeup").focus();
}

function endPlacing() {
  if (!closeups.placing) return;
  const within = byId("eyes").contains(document.activeElement);
  closeups.place(false);
  byId("pupils-panel").hidden = true;
  byId("pupils-set").hidden = false;
  if (within) byId("pupils-set").focus();
}

function showPlaced(placed) {
  const where = Object.entries(placed).map(([side, [x, y]]) => `${side} at ${fixed(x)}, ${fixed(y)}`);
  byId("pupils-placed").textContent = where.length ? `Placed: ${where.join("; ")}.` : "None placed yet; one is enough.";
  byId("pupils-apply").disabled = where.length === 0;
}

/** Show a note if the server did not use a pupil because it is not inside an eye of its side. */
function showUnused({ faces }) {
  const given = (side) => faces.some((face) => face.eyes[side].pupil?.method === "given");
  const unused = Object.keys(state.pupils).filter((side) => !given(side));
  byId("pupils-unused").hidden = unused.length === 0;
  byId("pupils-unused").textContent = `The pupil set for ${unused.join(" and ")} is not inside an eye of that side and was not used.`;
}

function applyPupils() {
  state.pupils = { ...state.pupils, ...closeups.placed };
  screen();
}

// ---- export ----

async function copyFhir() {
  const given = chosen();
  if (!given) return;
  const picture = state.picture;
  try {
    const body = await send(picture, given, { accept: "application/fhir+json" });
    if (picture === state.picture) await handover.copyFhir(body);
  } catch (error) {
    if (picture === state.picture) messages.showFailure(error, { retry: copyFhir, smaller: null });
  }
}

// ---- events ----

function listen() {
  intake.listen(take);
  options.listen({
    changed: () => {
      if (state.picture) showCopied();
      screen();
    },
    mirrored: () => {
      const { OD, OS } = state.pupils; // pupils keep their positions and change sides
      state.pupils = { ...(OS && { OD: OS }), ...(OD && { OS: OD }) };
      screen();
    },
  });
  byId("cancel").onclick = () => running?.abort();
  byId("zoom").oninput = (event) => closeups.setZoom(Number(event.target.value));
  for (const name of stage.LAYERS) byId(`layer-${name}`).onchange = () => drawStage();
  byId("photo").onclick = (event) => {
    const hit = stage.faceAt(state, event);
    if (hit !== null) select(hit);
  };
  byId("pupils-set").onclick = startPlacing;
  byId("pupils-cancel").onclick = endPlacing;
  byId("pupils-apply").onclick = applyPupils;
  byId("pupils-forget").onclick = () => {
    state.pupils = {};
    screen();
  };
  byId("copy-fhir").onclick = copyFhir;
  byId("download-json").onclick = () => handover.downloadJson(state.answer);
  byId("print").onclick = () => window.print();
  // The printed page includes model, request and time.
  window.addEventListener("beforeprint", () => document.querySelector(".about")?.setAttribute("open", ""));
  byId("fhir-close").onclick = () => byId("fhir").close();
  let frame = 0;
  new ResizeObserver(() => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => drawStage());
  }).observe(byId("stage"));
}

listen();
