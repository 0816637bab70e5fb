/** Helpers of the DOM: find and create elements, announce a text to screen readers. */

export const byId = (id) => document.getElementById(id);

/**
 * Create an element: `h("p", {class: "hint"}, "text", child)`. Properties that start with `on` are listeners;
 * lists of children are flattened, `null` and `false` left out. Text is never parsed as HTML.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else if (value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** Announce a text to screen readers, also if it is the same as the last one. */
export function announce(text) {
  const live = byId("live");
  live.textContent = "";
  setTimeout(() => { live.textContent = text; }, 50);
}
