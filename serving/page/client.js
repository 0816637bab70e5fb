/** Talking to the server: one request, its progress, and what goes wrong with it. */

/** An answer that is a refusal: HTTP status, problem details (RFC 9457), seconds to wait (or null). */
export class Refusal extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    Object.assign(this, { status, problem, retryAfter });
  }
}

/** No answer at all: the network, or a server that is not there. */
export class Unreachable extends Error {}

/** Stopped by the person or by the next request. */
export class Stopped extends Error {}

const TIMEOUT_MS = 120_000;

function address(options) {
  const url = new URL("v1/screen", document.baseURI);
  if (options.mirrored) url.searchParams.set("mirrored", "true");
  if (options.mmPerPx != null) url.searchParams.set("mm_per_px", String(options.mmPerPx));
  if (options.maxFaces != null) url.searchParams.set("max_faces", String(options.maxFaces));
  if (Object.keys(options.pupils ?? {}).length) url.searchParams.set("pupils", JSON.stringify(options.pupils));
  return url;
}

/**
 * Send a picture. The file's name is not sent.
 *
 * @param {{blob: Blob, type: string}} picture
 * @param {{mirrored: boolean, mmPerPx: ?number, maxFaces: ?number, pupils: Object, key: string}} options
 * @param {{accept?: string, progress?: function(?number), signal?: AbortSignal}} how `progress` gets the share
 *   sent, and null once all is sent and the answer is awaited.
 * @returns {Promise<string>} the body of the answer.
 * @throws {Refusal|Unreachable|Stopped}
 */
export function send(picture, options, { accept = "application/json", progress = () => {}, signal } = {}) {
  // fetch() does not tell how much of a body has been sent.
  const request = new XMLHttpRequest();
  return new Promise((resolve, reject) => {
    request.open("POST", address(options));
    request.timeout = TIMEOUT_MS;
    request.setRequestHeader("Accept", accept);
    request.setRequestHeader("Content-Type", picture.type);
    if (options.key) request.setRequestHeader("Authorization", `Bearer ${options.key}`);
    request.upload.onprogress = (event) => progress(event.lengthComputable ? event.loaded / event.total : null);
    request.upload.onload = () => progress(null);
    request.onload = () => (request.status === 200 ? resolve(request.responseText) : reject(refusal(request)));
    request.onerror = () => reject(new Unreachable("no connection"));
    request.ontimeout = () => reject(new Unreachable("no answer in time"));
    request.onabort = () => reject(new Stopped("stopped"));
    signal?.addEventListener("abort", () => request.abort());
    if (signal?.aborted) reject(new Stopped("stopped"));
    else request.send(picture.blob);
  });
}

function refusal(request) {
  let problem = {};
  try {
    problem = JSON.parse(request.responseText);
  } catch {
    // A proxy in between answers in HTML; the status says enough.
  }
  const wait = Number.parseInt(request.getResponseHeader("Retry-After") ?? "", 10);
  return new Refusal(request.status, problem, Number.isFinite(wait) ? wait : null);
}
