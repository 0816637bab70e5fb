/** Elements by id and elements made. */

export const byId = (id) => document.getElementById(id);

/**
 * Make an element: `h("p", {class: "hint"}, "text", child)`. Properties that start with `on` are listeners;
 * lists of children are taken apart, `null` and `false` left out. Text is never parsed as HTML.
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

/** Say something to screen readers, also when it is what was said last. */
export function announce(text) {
  const live = byId("live");
  live.textContent = "";
  setTimeout(() => { live.textContent = text; }, 50);
}
