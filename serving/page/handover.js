/** Export of an answer: FHIR to the clipboard, JSON to a file. */

import { announce, byId, h } from "./dom.js";

const SHOWN_MS = 2000;

/** Copy a FHIR Bundle (JSON text) to the clipboard; if that is not allowed, show it for copying by hand. */
export async function copyFhir(body) {
  const text = JSON.stringify(JSON.parse(body), null, 2);
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Browsers allow a page to copy only over HTTPS and with permission.
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
