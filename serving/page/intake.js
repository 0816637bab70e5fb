/** Input of a photograph by file chooser, drag and drop, paste or camera; all call `take(file)`. */

import * as camera from "./camera.js";
import { byId } from "./dom.js";
import * as messages from "./messages.js";

const phone = () => window.matchMedia("(pointer: coarse)").matches;

export function listen(take) {
  byId("choose").onclick = () => byId("file").click();
  byId("take").hidden = !phone() && !camera.available();
  // The camera app of a phone takes better photographs than a page can.
  byId("take").onclick = () => (phone() ? byId("capture").click() : useCamera(take));
  for (const id of ["file", "capture"]) {
    byId(id).onchange = (event) => {
      const [file] = event.target.files;
      event.target.value = ""; // the same file can be chosen again
      if (file) take(file);
    };
  }
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (!file) return;
    event.preventDefault();
    take(file);
  });
  listenForDrops(take);
}

function listenForDrops(take) {
  let inside = 0; // dragenter and dragleave also fire for every child element
  const over = (change) => {
    inside = Math.max(0, inside + change);
    byId("drop").classList.toggle("over", inside > 0);
  };
  document.addEventListener("dragenter", () => over(1));
  document.addEventListener("dragleave", () => over(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(-inside);
    const files = event.dataTransfer?.files ?? [];
    if (files.length === 1) take(files[0]);
    else if (files.length > 1) {
      messages.show({ title: "One photograph at a time", text: `${files.length} files were dropped; none was sent.` });
    } else {
      messages.show({ title: "This is not a file", text: "Save the picture first, then drop its file here." });
    }
  });
}

async function useCamera(take) {
  try {
    const blob = await camera.photograph();
    if (!blob) return;
    byId("mirrored").checked = false; // the camera photograph is not mirrored
    take(blob);
  } catch (error) {
    messages.show({
      title: "The camera cannot be used",
      text: "There is none, another program uses it, or this page may not. Choose a file instead.",
      detail: String(error.message ?? error),
    });
  } finally {
    byId("take").focus();
  }
}
