/** The list of runs: colours that stay, ticks, a filter by regular expression; kept in the address. */

import { encodedNames, namesIn } from "./address.js";
import { el, refill } from "./dom.js";
import { pattern } from "./pattern.js";
import { VirtualList } from "./virtual.js";

const LIGHT = ["#2a6be0", "#d9480f", "#2b8a3e", "#9c36b5", "#0b7285", "#c2255c", "#8a6d00", "#5f3dc4", "#5c7f0c", "#8a5a2b", "#0c8599", "#5b6472"];
const DARK = ["#74a7ff", "#ff9466", "#69d27e", "#dd8bf0", "#4fc3d9", "#ff7faa", "#e8c04a", "#a58bff", "#b5d84c", "#d2a679", "#66e0d0", "#b6bec9"];
const SHOWN_AT_FIRST = 20;

export class Runs {
  constructor(root, state, theme, announce) {
    Object.assign(this, { root, state, theme, announce, all: [], visible: [], slots: new Map(), listeners: new Set() });
    this.count = el("span", { class: "muted small" });
    this.toggle = el("button", { class: "quiet tiny", onclick: () => this.tickAll() }, "All");
    this.find = el("input", {
      type: "search", placeholder: "Filter runs (regex)", aria_label: "Filter runs by regular expression", spellcheck: "false",
      oninput: () => { this.state.set("find-runs", this.find.value); this.refresh(); },
    });
    this.list = el("div", { class: "runs-list", role: "group", aria_label: "Runs" });
    this.virtual = new VirtualList(this.list, this.list, 28);
    refill(root,
      el("div", { class: "runs-head" }, el("h2", {}, "Runs ", this.count), this.toggle),
      el("div", { class: "runs-find" }, this.find), this.list);
  }

  /** Takes the runs of an answer of /api/info. */
  take(runs) {
    this.all = runs;
    for (const run of runs) this.slot(run.name);
    this.refresh();
  }

  slot(name) {
    if (!this.slots.has(name)) {
      let hash = 7;
      for (const letter of name) hash = (Math.imul(hash, 31) + letter.codePointAt(0)) >>> 0;
      const taken = new Set(this.slots.values());
      let slot = hash % LIGHT.length;
      for (let tries = 0; taken.has(slot) && tries < LIGHT.length; tries += 1) slot = (slot + 1) % LIGHT.length;
      this.slots.set(name, slot);
    }
    return this.slots.get(name);
  }

  color(name) {
    return (this.theme.name === "dark" ? DARK : LIGHT)[this.slot(name)];
  }

  names(key) {
    const text = this.state.get(key, null);
    return text === null ? null : new Set(namesIn(text));
  }

  ticked(name, index) {
    const [only, hidden] = [this.names("only"), this.names("hide")];
    if (only) return only.has(name);
    if (hidden) return !hidden.has(name);
    return index < SHOWN_AT_FIRST || this.all.length <= SHOWN_AT_FIRST + 10;
  }

  /** Reads the address anew and shows the list. */
  refresh() {
    if (this.find.value !== this.state.get("find-runs")) this.find.value = this.state.get("find-runs");
    const wanted = pattern(this.find.value);
    this.find.setAttribute("aria-invalid", String(wanted.isBroken));
    const listed = this.all.filter((run) => wanted.test(run.name));
    const ticks = new Set(this.all.filter((run, index) => this.ticked(run.name, index)).map((run) => run.name));
    this.ticks = ticks;
    const visible = listed.filter((run) => ticks.has(run.name)).map((run) => run.name);
    this.listed = listed;
    refill(this.count, listed.length === visible.length ? String(listed.length) : `${visible.length} of ${listed.length}`);
    this.toggle.textContent = visible.length === listed.length && listed.length ? "None" : "All";
    this.toggle.hidden = !listed.length;
    this.show();
    const isChanged = visible.join("\n") !== this.visible.join("\n");
    this.visible = visible;
    if (isChanged) for (const one of this.listeners) one();
  }

  show() {
    const rows = this.listed.map((run) => ({
      key: `${run.name}\n${this.ticks.has(run.name)}\n${this.theme.name}`, height: 28, build: () => this.row(run),
    }));
    this.virtual.show(rows);
  }

  row(run) {
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = this.color(run.name);
    const box = el("input", { type: "checkbox", checked: this.ticks.has(run.name), onchange: () => this.tick(run.name) });
    const name = run.name === "." ? "(top folder)" : run.name;
    return el("div", { class: "run" },
      el("label", { title: name }, box, swatch, el("span", { class: "ellipsis" }, name)),
      run.notices.length ? el("span", { class: "badge warn", title: run.notices.join("\n") }, "!") : null,
      el("button", { class: "quiet tiny only", aria_label: `Only ${name}`, onclick: () => this.keep([run.name]) }, "only"));
  }

  tick(name) {
    const ticks = new Set(this.ticks);
    if (!ticks.delete(name)) ticks.add(name);
    this.keep([...ticks], name);
  }

  tickAll() {
    const isAll = this.toggle.textContent === "All";
    const ticks = new Set(this.ticks);
    for (const run of this.listed) isAll ? ticks.add(run.name) : ticks.delete(run.name);
    this.keep([...ticks]);
  }

  keep(names, focused) {
    const ticks = new Set(names);
    const hidden = this.all.filter((run) => !ticks.has(run.name)).map((run) => run.name);
    const isMostly = hidden.length <= names.length;
    this.state.set("hide", isMostly ? encodedNames(hidden) : "");
    this.state.set("only", isMostly ? "" : encodedNames(names));
    // An empty list says nothing in the address; no run has the name "/".
    if (!hidden.length && this.all.length > SHOWN_AT_FIRST + 10) this.state.set("hide", "/");
    if (!names.length) this.state.set("only", "/");
    this.refresh();
    if (focused !== undefined) {
      const place = this.listed.findIndex((run) => run.name === focused);
      this.virtual.element(place)?.querySelector("input")?.focus();
    }
    this.announce(`${this.visible.length} of ${this.listed.length} runs shown`);
  }
}
