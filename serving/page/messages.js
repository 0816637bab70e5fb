/** Error messages above the picture, with actions. */

import { Refusal, Unreachable } from "./client.js";
import { byId, h } from "./dom.js";
import { refusalInWords, sentence } from "./words.js";

export function button(text, act, primary = false) {
  return h("button", { type: "button", class: primary ? "primary" : null, onclick: act }, text);
}

/** Show a message and remove the last one. `detail` is in small print; `actions` are buttons. */
export function show({ title, text = "", detail = "", actions = [] }) {
  byId("message-title").textContent = title;
  byId("message-text").textContent = text;
  byId("message-detail").textContent = detail;
  byId("message-actions").replaceChildren(...actions);
  byId("message").hidden = false;
}

export function clear() {
  byId("message").hidden = true;
}

/**
 * Show the error of a request.
 *
 * @param {Error} error
 * @param {{retry: function(), smaller: ?function(Object)}} can actions of the buttons; `smaller` gets the
 *   problem details, and is null if no smaller copy can be made.
 * @throws {Error} any error that is not of the network or server: a bug of this page.
 */
export function showFailure(error, { retry, smaller }) {
  const again = button("Try again", retry, true);
  if (error instanceof Unreachable) {
    const why = navigator.onLine === false ? "This device is offline." : "It may be switched off or restarting, or the network is down.";
    show({ title: "The server does not answer", text: `${why} The photograph is still here.`, actions: [again] });
  } else if (error instanceof Refusal) {
    showRefusal(error, again, smaller);
  } else {
    show({
      title: "This page failed",
      text: "Load it again. If it fails again, tell the operator of the server.",
      detail: String(error.message ?? error),
    });
    throw error;
  }
}

function showRefusal({ status, problem, retryAfter }, again, smaller) {
  const { title, text, wants } = refusalInWords(status, retryAfter);
  const { detail, instance } = problem;
  const said = [
    detail && `The server said: ${sentence(detail)}`,
    status >= 500 && instance && `Request: ${instance.replace("urn:uuid:", "")}`,
  ];
  const shrink = wants === "smaller" && smaller;
  const action = shrink ? button("Make a smaller copy and send it", () => smaller(problem), true) : wants && again;
  show({ title, text, detail: said.filter(Boolean).join(" "), actions: action ? [action] : [] });
  if (wants === "key") {
    byId("more").open = true;
    byId("key").focus();
  }
}
