/** The search for nodes: a regular expression, a list of what it finds, and going through that by the keyboard. */

import { el, icon, refill } from "./dom.js";
import { count, plural } from "./format.js";
import { ICONS } from "./icons.js";

const MOST = 200;
const PATIENCE = 2000;
const TURN = 12;
const LONGEST = 300;
// Repetitions of repetitions, such as (a+)+, can take for ever on a single name.
const RISKY = /\([^()]*[+*}][^()]*\)\s*[+*{]/;

export class Search {
  /** `names()` answers { names, ops, left_out }; `open(name)` shows a node. */
  constructor(names, open, announce) {
    Object.assign(this, { names, open, announce, found: [], at: -1, visit: 0 });
    this.input = el("input", { type: "search", placeholder: "Search nodes (regex)", aria_label: "Search nodes by a regular expression",
      spellcheck: "false", autocomplete: "off", role: "combobox", aria_expanded: "false", aria_controls: "graph-found" });
    this.note = el("div", { class: "found-note small muted" });
    this.list = el("div", { class: "found-list", role: "listbox", id: "graph-found", aria_label: "Nodes found" });
    this.box = el("div", { class: "found", hidden: true }, this.note, this.list);
    this.root = el("div", { class: "graph-search" }, icon(ICONS.search), this.input, this.box);
    this.input.addEventListener("input", () => { clearTimeout(this.timer); this.timer = setTimeout(() => this.search(), 120); });
    this.input.addEventListener("focus", () => { if (this.input.value) this.box.hidden = false; });
    this.input.addEventListener("keydown", (event) => this.pressed(event));
    this.root.addEventListener("focusout", (event) => { if (!this.root.contains(event.relatedTarget)) this.shut(); });
  }

  shut() {
    this.box.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
  }

  close() {
    clearTimeout(this.timer);
  }

  async search() {
    const visit = ++this.visit;
    const text = this.input.value;
    this.input.removeAttribute("aria-invalid");
    if (!text) { this.found = []; this.shut(); return; }
    let source = text;
    try {
      new RegExp(text, "i");
    } catch {
      source = text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      this.input.setAttribute("aria-invalid", "true");
    }
    const all = await this.names();
    if (visit !== this.visit) return;
    const answer = await this.run(source, all, visit);
    if (visit !== this.visit) return;
    this.show(answer, all, source !== text);
  }

  /** Look through the names in short turns, so that the page stays alive; null if that takes too long. */
  async run(source, all, visit) {
    if (RISKY.test(source)) return null;
    const expression = new RegExp(source, "i");
    const found = [];
    let total = 0;
    const begun = performance.now();
    let turn = begun;
    for (let place = 0; place < all.names.length; place += 1) {
      if (expression.test(all.names[place].slice(0, LONGEST)) || expression.test(all.ops[place])) {
        total += 1;
        if (found.length < MOST) found.push(place);
      }
      const now = performance.now();
      if (now - begun > PATIENCE || visit !== this.visit) return null;
      if (now - turn > TURN) {
        await new Promise((done) => setTimeout(done));
        turn = performance.now();
      }
    }
    return { found, count: total };
  }

  show(answer, all, isPlain) {
    this.box.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.at = -1;
    if (!answer) {
      this.found = [];
      this.note.textContent = "This expression takes too long. Write a simpler one.";
      refill(this.list);
      return;
    }
    this.found = answer.found.map((place) => all.names[place]);
    const more = answer.count > this.found.length ? `, the first ${this.found.length} are listed` : "";
    const cut = all.left_out ? ` among the first ${count(all.names.length)}` : "";
    this.note.textContent = `${answer.count ? plural(answer.count, "node") : "No node"}${cut}${more}${isPlain ? " (not a regular expression; searched as text)" : ""}`;
    this.announce(this.note.textContent);
    refill(this.list, answer.found.map((place, row) => el("button", { class: "found-row", role: "option", tabIndex: -1, id: `found-${row}`,
      onclick: () => this.go(row) }, el("span", { class: "ellipsis" }, all.names[place]), el("span", { class: "muted small" }, all.ops[place]))));
  }

  pressed(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      this.mark(Math.min(Math.max(this.at + (event.key === "ArrowDown" ? 1 : -1), 0), this.found.length - 1));
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (this.found.length) this.go(Math.max(this.at, 0));
    } else if (event.key === "Escape") this.shut();
  }

  mark(row) {
    this.at = row;
    [...this.list.children].forEach((one, place) => one.setAttribute("aria-selected", String(place === row)));
    this.list.children[row]?.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", `found-${row}`);
  }

  go(row) {
    this.mark(row);
    this.open(this.found[row]);
  }
}
