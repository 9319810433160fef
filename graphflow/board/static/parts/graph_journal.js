/** The slider through the optimizer's journal, and the list of what a pass did and left alone. */

import { el, icon, refill } from "./dom.js";
import { bytes, count, plural } from "./format.js";
import { flop, seconds } from "./graph_colors.js";
import { ICONS } from "./icons.js";
import { names } from "./node_card.js";

const PAGE = 300;

export class JournalSlider {
  /** `go(position, shown)` is called when the user moves. */
  constructor(context, go) {
    Object.assign(this, { context, go, summary: null, position: 0, shown: "both" });
    this.input = el("input", { type: "range", min: 0, max: 0, step: 1, aria_label: "Pass of the optimizer", oninput: () => this.to(Number(this.input.value)) });
    this.ticks = el("div", { class: "slider-ticks" });
    this.title = el("div", { class: "slider-title", aria_live: "polite" });
    this.sides = ["before", "both", "after"].map((name) =>
      el("button", { aria_pressed: "false", data_side: name, onclick: () => this.show(name) }, name === "both" ? "overlay" : name));
    const step = (by, text, path) => el("button", { class: "square quiet", aria_label: text, onclick: () => this.to(this.position + by) }, icon(path));
    this.root = el("div", { class: "slider", role: "group", aria_label: "The optimizer, pass by pass" },
      el("div", { class: "slider-head" }, this.title, el("div", { class: "segments", role: "group", aria_label: "Which graph" }, this.sides)),
      el("div", { class: "slider-row" }, step(-1, "Pass before", "M10 3.5 5.5 8 10 12.5"), el("div", { class: "slider-track" }, this.ticks, this.input), step(1, "Next pass", ICONS.chevron)));
  }

  take(summary, position, shown) {
    this.summary = summary;
    this.position = Math.min(Math.max(position, 0), summary.places.length - 1);
    this.shown = shown;
    this.input.max = summary.places.length - 1;
    refill(this.ticks, summary.places.map((place, at) => {
      const tick = el("button", { class: `tick ${place.step >= 0 ? "has-edits" : ""}`, tabIndex: -1, title: at ? `${place.name}: ${told(place)}` : "as it was built", onclick: () => this.to(at) },
        el("span", {}, at ? place.name : "start"));
      tick.style.left = `${summary.places.length > 1 ? (100 * at) / (summary.places.length - 1) : 0}%`;
      return tick;
    }));
    this.draw();
  }

  draw() {
    const place = this.summary.places[this.position];
    this.input.value = this.position;
    this.input.setAttribute("aria-valuetext", place.name || "as it was built");
    [...this.ticks.children].forEach((tick, at) => tick.classList.toggle("is-here", at === this.position));
    for (const side of this.sides) {
      side.setAttribute("aria-pressed", String(side.dataset.side === this.shown));
      side.disabled = place.step < 0;
    }
    refill(this.title, el("strong", {}, place.name || "As it was built"),
      this.position ? el("span", { class: "muted" }, ` pass ${this.position} of ${this.summary.places.length - 1} · ${told(place)}`)
        : el("span", { class: "muted" }, ` ${plural(this.summary.edits, "edit")} by ${plural(this.summary.places.length - 1, "pass").replace("passs", "passes")}, ${plural(this.summary.declined, "rule")} declined. → goes on.`));
  }

  to(position) {
    const next = Math.min(Math.max(position, 0), this.summary.places.length - 1);
    if (next === this.position) return;
    this.position = next;
    this.draw();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.go(this.position, this.shown), 90);
  }

  /** The next pass that changed something. */
  toEdits(by) {
    let next = this.position + by;
    while (next > 0 && next < this.summary.places.length - 1 && this.summary.places[next].step < 0) next += by;
    this.to(next);
  }

  show(name) {
    if (this.shown === name) return;
    this.shown = name;
    this.draw();
    this.go(this.position, name);
  }

  close() {
    clearTimeout(this.timer);
  }
}

function told(place) {
  const [first, last] = place.entries;
  const parts = [];
  if (place.step >= 0) parts.push(`${plural(last - first, "edit")}, ${count(place.before)} → ${count(place.after)} nodes`);
  else parts.push(place.note || "changed nothing");
  if (place.declined) parts.push(`${count(place.declined)} declined`);
  const cost = place.cost;
  if (cost?.before && cost?.after) {
    const saved = (key, show) => (cost.before[key] - cost.after[key] ? `${cost.after[key] > cost.before[key] ? "+" : "−"}${show(Math.abs(cost.after[key] - cost.before[key]))}` : "");
    parts.push(...[saved("flops", flop), saved("bytes", bytes)].filter(Boolean));
  }
  if (place.seconds) parts.push(seconds(place.seconds));
  return parts.join(" · ");
}

/** The list of edits and declines of a pass. */
export class EditList {
  constructor(context, run) {
    Object.assign(this, { context, run, kind: "edits", visit: 0, position: 0 });
    this.tabs = [["edits", "Edits"], ["declined", "Declined"]].map(([kind, title]) =>
      el("button", { aria_pressed: "false", data_kind: kind, onclick: () => { this.kind = kind; this.load(); } }, title));
    this.find = el("input", { type: "search", placeholder: "Rule, node or reason", aria_label: "Filter the edits", oninput: () => { clearTimeout(this.timer); this.timer = setTimeout(() => this.load(), 150); } });
    this.list = el("div", { class: "edit-list" });
    this.root = el("div", { class: "edits" }, el("div", { class: "segments" }, this.tabs), this.find, this.list);
  }

  show(place, position) {
    this.position = position;
    const [first, last] = place.entries;
    this.tabs[0].textContent = `Edits ${count(last - first)}`;
    this.tabs[1].textContent = `Declined ${count(place.declined)}`;
    if (position && last === first && place.declined) this.kind = "declined";
    else if (last > first) this.kind = "edits";
    else if (!position) this.kind = "declined";
    return this.load();
  }

  async load() {
    const visit = ++this.visit;
    for (const tab of this.tabs) tab.setAttribute("aria-pressed", String(tab.dataset.kind === this.kind));
    const found = await this.page(0);
    if (visit !== this.visit) return;
    refill(this.list, this.kind === "edits" ? this.rules(found.rules) : null, this.rows(found));
    this.list.scrollTop = 0;
  }

  page(start) {
    return this.context.api("journal/edits", { run: this.run(), position: this.position, kind: this.kind, start, words: this.find.value || undefined });
  }

  rules(rules) {
    if (!rules?.length) return null;
    return el("div", { class: "rule-list" }, rules.filter((one) => one.fired).map((one) => el("details", {},
      el("summary", {}, el("strong", {}, one.rule), ` × ${count(one.fired)} `, el("span", { class: "muted small" }, one.evidence)),
      one.algebra ? el("p", { class: "small" }, one.algebra) : null,
      el("p", { class: "small muted" }, [one.nodes ? `${one.nodes > 0 ? "+" : "−"}${count(Math.abs(one.nodes))} nodes` : "", one.flops ? `${one.flops > 0 ? "+" : "−"}${flop(Math.abs(one.flops))}` : "", one.bytes ? `${one.bytes > 0 ? "+" : "−"}${bytes(Math.abs(one.bytes))} moved` : ""].filter(Boolean).join(", ")))));
  }

  rows(found) {
    const listed = found.edits ?? found.declined;
    const rows = listed.map((one) => (this.kind === "edits" ? this.edit(one) : this.decline(one)));
    const next = found.start + listed.length;
    if (next < found.count) {
      const more = el("button", { class: "tiny", onclick: async () => more.replaceWith(...this.rows(await this.page(next))) }, `${count(Math.min(PAGE, found.count - next))} more of ${count(found.count)}`);
      rows.push(more);
    }
    if (!listed.length && !next) rows.push(el("p", { class: "muted" }, this.find.value ? "Nothing here contains that." : this.kind === "edits" ? "This pass edited nothing." : "No rule declined here."));
    return rows;
  }

  edit(one) {
    const target = one.removed[0] ?? one.added[0] ?? one.into[0] ?? "";
    return el("article", { class: `edit kind-${one.kind}` },
      el("button", { class: "edit-go", onclick: () => this.context.select(target) }, el("span", { class: `badge kind` }, one.kind), el("strong", { class: "ellipsis" }, one.rule)),
      one.reason ? el("div", {}, one.reason) : null,
      el("div", { class: "small" }, names("− ", one.removed, this), one.added.length ? names("+ ", one.added, this) : names("→ ", one.into, this)),
      one.text ? el("div", { class: "small muted mono ellipsis", title: one.text }, one.text) : null,
      el("div", { class: "small muted" }, [one.line, one.flops ? `${one.flops > 0 ? "+" : "−"}${flop(Math.abs(one.flops))}` : "", one.bytes ? `${one.bytes > 0 ? "+" : "−"}${bytes(Math.abs(one.bytes))}` : ""].filter(Boolean).join(" · ")));
  }

  decline(one) {
    return el("article", { class: "edit kind-declined" },
      el("button", { class: "edit-go", onclick: () => this.context.select(one.node) }, el("span", { class: "badge kind" }, "declined"), el("strong", { class: "ellipsis" }, one.rule)),
      el("div", {}, one.reason), el("div", { class: "small" }, names("at ", [one.node], this)),
      el("div", { class: "small muted" }, [one.origin, this.position ? "" : one.pass_name].filter(Boolean).join(" · ")));
  }
}
