/** Texts of the page: names, explanations, advice. */

export const SIDES = ["OD", "OS"];

export const EYE = { OD: "right eye", OS: "left eye" };

/** Rows of the table: key in the answer, abbreviation, name. */
export const ROWS = [
  { key: "mrd1", short: "MRD1", name: "pupil centre to upper lid" },
  { key: "mrd2", short: "MRD2", name: "pupil centre to lower lid" },
  { key: "pfh", short: "PFH", name: "palpebral fissure height" },
  { key: "width", short: "Width", name: "inner to outer corner" },
  { key: "brow_lid", short: "Brow–lid", name: "brow to upper lid" },
];

export const SHORT = Object.fromEntries(ROWS.map(({ key, short }) => [key, short]));

/** Advice about a problem of the picture or a withheld measurement, by its code. */
export const ADVICE = {
  "too-small": "Come closer, or use a camera with more pixels.",
  blurred: "Hold the camera still, wait for it to focus, use more light.",
  turned: "Turn the head so that the nose points at the camera.",
  tilted: "Hold the head upright, or turn the camera with it.",
  "eyes-closed": "Take it again with the eyes open and relaxed.",
  "cut-off": "Take it again with the whole face in the picture.",
  "eye-hidden": "Take it again without glasses, with hair and hands away from the eyes.",
  "no-pupil": "Set the pupils by hand.",
  "pupil-unused": "Set it again, in the eye of that side.",
};

export const SCALE = {
  given: "as given",
  iris: "from the iris, taken to be 11.7 mm across",
  "outer-canthal": "from the outer corners of the eyes, taken to be 90 mm apart",
};

/** "the right eye (OD)", or both. */
export function sidesInWords(sides) {
  if (sides.length === 2) return "both eyes";
  return sides.map((side) => `${EYE[side]} (${side})`).join("");
}

export const FLAG = {
  none: {
    title: () => "Nothing flagged",
    text: "No sign of ptosis is past a threshold, with the error bands. That does not rule out ptosis.",
  },
  suspicious: {
    title: (sides) => `Suspicious: ${sidesInWords(sides)}`,
    text: "A lid is lower than the other one, or both are low, by more than the error bands explain.",
  },
  functional: {
    title: (sides) => `Suspicious: ${sidesInWords(sides)}, ${sides.length === 2 ? "at least one " : ""}in the functional range`,
    text: "In the functional range a lid is so low that it may narrow the field of vision.",
  },
  undetermined: {
    title: () => "Cannot be judged from this photograph",
    text: "The photograph, or the error bands of what was measured, allow no judgement. What to do:",
  },
};

/** Text with a capital first letter and a full stop. */
export function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

/**
 * Format a number with a fixed number of decimals and the minus sign U+2212. Rounds the decimal number in the
 * answer, halves away from zero, like the server in its texts (lidloop/screening/figures.py).
 */
export function fixed(value, digits = 1) {
  const shifted = Math.round(Number(`${Math.abs(Number(value.toFixed(9)))}e${digits}`));
  const text = (shifted / 10 ** digits).toFixed(digits);
  return shifted !== 0 && value < 0 ? `−${text}` : text;
}

export function bytesInWords(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${fixed(bytes / 1e6)} MB`;
}

/** Texts of error responses by HTTP status. `wants` is the offered action: smaller copy, key or retry. */
const REFUSALS = {
  400: {
    title: "The server does not accept the entered values",
    text: "Check the fields under “About the photograph”.",
    wants: "retry",
  },
  401: {
    title: "This server asks for an API key or token",
    text: "Enter it under “More” and try again. The operator of the server gives it to you.",
    wants: "key",
  },
  403: {
    title: "This is not allowed",
    text: "The key or token does not allow screening, or this computer may not use the server.",
    wants: "key",
  },
  408: {
    title: "The photograph took too long to arrive",
    text: "The connection is slow. Try again, or send a smaller copy.",
    wants: "smaller",
  },
  413: {
    title: "The photograph is too large for this server",
    text: "A smaller copy can be made here and sent.",
    wants: "smaller",
  },
  415: { title: "This kind of file is not accepted", text: "Use a JPEG, PNG or HEIC photograph." },
  422: {
    title: "The photograph is damaged, or of an unusual kind",
    text: "It may be cut short. Export it again as a JPEG, or take a new one.",
  },
};
const BUSY = { title: "The server has too much to do", wants: "retry" };
const FAILED = {
  title: "The server failed",
  text: "Try again. If it fails again, tell the operator of the server.",
  wants: "retry",
};
const UNEXPECTED = { title: "The server gave an unexpected answer", wants: "retry" };

/** Text of an error response: `{title, text, wants}`. */
export function refusalInWords(status, retryAfter) {
  if (status === 429 || status === 503) {
    const when = retryAfter ? `in ${retryAfter} second${retryAfter === 1 ? "" : "s"}` : "in a moment";
    return { ...BUSY, text: `Try again ${when}.` };
  }
  if (status >= 500) return FAILED;
  return REFUSALS[status] ?? { ...UNEXPECTED, text: `HTTP status ${status}.` };
}
