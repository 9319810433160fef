/** The keyboard: keys of the board and of the page, and the dialog that lists them. */

import { el, icon, refill } from "./dom.js";
import { ICONS } from "./icons.js";

export class Keys {
  constructor(own) {
    this.own = own;
    this.page = [];
    this.dialog = el("dialog", { aria_label: "Keyboard" });
    document.body.append(this.dialog);
    document.addEventListener("keydown", (event) => this.pressed(event));
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const isTyping = event.target.closest?.("input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]");
    if (isTyping) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (this.dialog.open) return;
    for (const [key, , act] of [...this.page, ...this.own]) {
      if (act && key.split(" ").includes(event.key)) {
        event.preventDefault();
        act(event);
        return;
      }
    }
  }

  open() {
    const table = (keys) => el("div", { class: "keys" }, keys.map(([key, told]) => [el("kbd", {}, key), el("span", {}, told)]));
    refill(this.dialog,
      el("div", { class: "dialog-head" }, el("h1", {}, "Keyboard"),
        el("button", { class: "quiet square", aria_label: "Close", onclick: () => this.dialog.close() }, icon(ICONS.close))),
      el("div", { class: "dialog-body" },
        this.page.length ? [el("h3", { class: "muted" }, "This page"), table(this.page)] : null,
        el("h3", { class: "muted" }, "Everywhere"), table(this.own)));
    this.dialog.showModal();
  }
}
