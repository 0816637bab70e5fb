/** Handing the answer on: FHIR to the clipboard, JSON to a file. */

import { announce, byId, h } from "./dom.js";

const SHOWN_MS = 2000;

/** Put a FHIR Bundle (JSON text) into the clipboard, or show it for the person to copy. */
export async function copyFhir(body) {
  const text = JSON.stringify(JSON.parse(body), null, 2);
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without HTTPS, or without leave, a page cannot copy; the person can.
    byId("fhir-text").value = text;
    byId("fhir").showModal();
    byId("fhir-text").focus();
    byId("fhir-text").select();
    return;
  }
  announce("The FHIR Bundle is in the clipboard.");
  byId("copy-fhir").textContent = "Copied";
  setTimeout(() => { byId("copy-fhir").textContent = "Copy FHIR"; }, SHOWN_MS);
}

/** Save an answer as a file, named after its request. */
export function downloadJson(answer) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(answer, null, 2)], { type: "application/json" }));
  h("a", { href: url, download: `screening-${answer.request_id}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
