/** HTTP client of the screening endpoint: request, upload progress, and errors. */

/** Error response: HTTP status, problem details (RFC 9457), and seconds of Retry-After (or null). */
export class Refusal extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    Object.assign(this, { status, problem, retryAfter });
  }
}

/** No response: network error, time-out or no server. */
export class Unreachable extends Error {}

/** The request was aborted by the user or by the next request. */
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
 * Send a picture to the screening endpoint, without its file name.
 *
 * @param {{blob: Blob, type: string}} picture
 * @param {{mirrored: boolean, mmPerPx: ?number, maxFaces: ?number, pupils: Object, key: string}} options
 * @param {{accept?: string, progress?: function(?number), signal?: AbortSignal}} how `progress` gets the
 *   share that was sent, and null when all was sent and the response is pending.
 * @returns {Promise<string>} the body of the answer.
 * @throws {Refusal|Unreachable|Stopped}
 */
export function send(picture, options, { accept = "application/json", progress = () => {}, signal } = {}) {
  // XMLHttpRequest, because fetch() reports no upload progress.
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
    // A proxy responds in HTML; the status is enough.
  }
  const wait = Number.parseInt(request.getResponseHeader("Retry-After") ?? "", 10);
  return new Refusal(request.status, problem, Number.isFinite(wait) ? wait : null);
}
