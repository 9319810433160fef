/** Elements from names, attributes and texts; nothing is ever parsed as HTML. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: el("button", { class: "quiet", onclick: f, aria_label: "Close" }, "×").
 * Keys that begin with "on" are listeners, `data_x` and `aria_x` become data-x and aria-x, `class`, `for` and
 * other names are attributes; value, checked, disabled, hidden and such are properties. null children are left out.
 */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** A drawing of 16 x 16 from path data. */
export function icon(path) {
  return svg("svg", { viewBox: "0 0 16 16", class: "icon", aria_hidden: "true" }, svg("path", { d: path }));
}

/** Takes everything out of an element and puts these in. */
export function refill(element, ...children) {
  element.replaceChildren(...children.flat(4).filter((one) => one !== null && one !== undefined && one !== false));
  return element;
}

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "indeterminate", "selected", "open", "tabIndex"]);

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (PROPERTIES.has(key)) element[key] = value;
    else element.setAttribute(/^(aria|data)_/.test(key) ? key.replaceAll("_", "-") : key, String(value));
  }
  for (const child of children.flat(4)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}
