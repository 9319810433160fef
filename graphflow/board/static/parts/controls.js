/** Controls of the side bar: each { element, set(value) }. */

import { el } from "./dom.js";

let number = 0;

/** A slider with its value written beside its name. */
export function slider(name, { min, max, step, write = String }, changed) {
  const id = `slider-${(number += 1)}`;
  const told = el("output", { for: id });
  const input = el("input", { type: "range", id, min, max, step, oninput: () => { told.textContent = write(Number(input.value)); changed(Number(input.value)); } });
  return {
    element: el("div", { class: "field" }, el("span", { class: "name" }, el("label", { for: id }, name), told), input),
    input,
    set: (value) => {
      input.value = String(value);
      told.textContent = write(Number(input.value));
    },
  };
}

/** Buttons of which one is pressed: choices are [value, text]. */
export function segments(name, choices, changed) {
  const buttons = choices.map(([value, text]) => el("button", { type: "button", data_value: value, onclick: () => changed(value) }, text));
  return {
    element: el("div", { class: "field" }, el("span", { class: "name" }, name), el("div", { class: "segments", role: "group", aria_label: name }, buttons)),
    set: (value) => {
      for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.value === value));
    },
  };
}

/** A box to tick. */
export function check(name, changed) {
  const input = el("input", { type: "checkbox", onchange: () => changed(input.checked) });
  return { element: el("label", { class: "check" }, input, name), set: (value) => { input.checked = value; } };
}

/** A list to choose from: choices are [value, text]. */
export function choice(name, choices, changed) {
  const input = el("select", { onchange: () => changed(input.value) }, choices.map(([value, text]) => el("option", { value }, text)));
  return { element: el("label", { class: "field" }, el("span", { class: "name" }, name), input), set: (value) => { input.value = value; } };
}
