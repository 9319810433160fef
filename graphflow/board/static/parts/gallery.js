/**
 * Pages of cards, one for each tag (or each tag of each run): a filter, groups that fold, pinned cards, and
 * only as many cards as are in sight.
 */

import { encodedNames, namesIn } from "./address.js";
import { el, icon, refill } from "./dom.js";
import { count } from "./format.js";
import { ICONS } from "./icons.js";
import { Loader } from "./loader.js";
import { nothing, notices } from "./messages.js";
import { pattern } from "./pattern.js";
import { VirtualList } from "./virtual.js";

const GAP = 16;
const HEAD = 44;
const ALL_OPEN = 60;
const PINNED = "\u0000pinned";

export class Gallery {
  /**
   * `options`: kind (of the tags), perRun (a card for each run), height and width (least) of a card,
   * make(item, gallery) -> { element, refresh(), close() }, tools (elements beside the filter), isTight (cards do not
   * grow to fill the row).
   * An item is { key, tag, run } where run is undefined unless perRun.
   */
  constructor(root, context, options) {
    Object.assign(this, { root, context, loader: new Loader(), cards: new Map(), tags: [], owners: [] }, options);
    this.filter = el("input", {
      type: "search", placeholder: "Filter tags (regex)", aria_label: "Filter tags by regular expression", spellcheck: "false",
      value: context.state.get("tags"),
      oninput: () => { context.state.set("tags", this.filter.value); this.layout(); },
    });
    this.told = el("span", { class: "muted small", role: "status" });
    this.box = el("div", {});
    this.message = el("div", {});
    refill(root, el("div", { class: "page-head" }, el("div", { class: "find" }, this.filter), this.told, el("div", { class: "spacer" }), options.tools ?? null),
      this.message, this.box);
    this.list = new VirtualList(context.scroller, this.box, 500);
    this.watch = new ResizeObserver(() => { if (this.box.clientWidth !== this.laidOut) this.layout(); });
    this.watch.observe(this.box);
    context.runs.onChange(() => { this.layout(); for (const card of this.cards.values()) card.refresh(); });
    context.onTheme(() => { for (const card of this.cards.values()) (card.repaint ?? card.refresh).call(card); });
    context.state.onChange(() => { this.filter.value = context.state.get("tags"); this.layout(); });
  }

  async load() {
    const found = await this.context.api("tags", { kind: this.kind });
    this.runs = found.runs;
    this.owners = new Map(found.tags);
    this.isCut = found.cut;
    this.tags = found.tags;
    this.signature = this.counted();
    this.layout();
  }

  counted() {
    return this.context.info().runs.map((run) => `${run.name}:${run.kinds[this.kind] ?? 0}`).join();
  }

  async update(changes) {
    if (this.counted() !== this.signature) await this.load();
    for (const card of this.cards.values()) if (this.speaksOf(changes, card.item)) card.refresh();
  }

  speaksOf(changes, item) {
    return Object.entries(changes.changed).some(([run, kinds]) =>
      (item.run === undefined || item.run === run) && (kinds === null || kinds[this.kind]?.includes(item.tag)));
  }

  names(key) {
    return new Set(namesIn(this.context.state.get(key)));
  }

  toggle(key, name) {
    const found = this.names(key);
    if (!found.delete(name)) found.add(name);
    this.context.state.set(key, encodedNames(found));
    this.layout();
    return found.has(name);
  }

  /** The runs that have a tag and are ticked. */
  runsOf(entry) {
    const owners = entry[1] === null ? this.ticked : entry[1].map((at) => this.runs[at]).filter((run) => this.visible.has(run));
    return owners;
  }

  /** Whether a run is known to have a tag. */
  owns(run, tag) {
    const owners = this.owners.get(tag);
    return owners === null ? this.runs.includes(run) : owners !== undefined && owners.some((at) => this.runs[at] === run);
  }

  items() {
    const wanted = pattern(this.filter.value);
    this.filter.setAttribute("aria-invalid", String(wanted.isBroken));
    const items = [];
    for (const entry of this.tags) {
      if (!wanted.test(entry[0])) continue;
      const runs = this.runsOf(entry);
      if (!runs.length) continue;
      if (!this.perRun) items.push({ key: entry[0], tag: entry[0] });
      else for (const run of runs) items.push({ key: `${entry[0]}\n${run}`, tag: entry[0], run });
    }
    return items;
  }

  layout() {
    if (!this.runs) return;
    this.laidOut = this.box.clientWidth;
    this.visible = new Set(this.context.runs.visible);
    this.ticked = this.runs.filter((run) => this.visible.has(run));
    const items = this.items();
    const groups = new Map();
    const pinned = this.names("pin");
    const pins = items.filter((item) => pinned.has(item.key));
    if (pins.length) groups.set(PINNED, pins);
    for (const item of items) {
      const group = groupOf(item.tag);
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(item);
    }
    this.told.textContent = items.length === 1 ? "1 card" : `${count(items.length)} cards`;
    refill(this.message, this.isCut ? notices(["There are more tags than the board lists."], "Not all tags are listed") : null,
      items.length ? null : this.emptyMessage());
    this.list.show(this.rows(groups, items.length));
  }

  emptyMessage() {
    if (!this.context.runs.visible.length) return nothing("No run is ticked", "Tick runs in the list at the side.");
    if (this.filter.value) return nothing("No tag matches", `Nothing fits “${this.filter.value}” in the runs that are ticked.`);
    return nothing("Nothing here", "The runs that are ticked have logged nothing of this kind.");
  }

  rows(groups, total) {
    const width = Math.max(1, this.laidOut);
    // Small groups do not leave most of a wide screen empty.
    let largest = 2;
    for (const items of groups.values()) largest = Math.max(largest, items.length);
    const columns = Math.min(this.isTight ? Infinity : largest, Math.max(1, Math.floor((width + GAP) / (Math.min(this.width, width) + GAP))));
    const folded = this.names("fold");
    const wide = this.names("wide");
    const rows = [];
    let place = 0;
    for (const [group, items] of groups) {
      const isFirst = place === 0 || group === PINNED || groups.has(PINNED) && place === 1;
      place += 1;
      const isOpen = (isFirst || total <= ALL_OPEN || this.filter.value !== "") !== folded.has(group);
      rows.push({ key: `head\n${group}\n${isOpen}\n${items.length}`, height: HEAD, build: () => this.head(group, items.length, isOpen) });
      if (!isOpen) continue;
      let part = [];
      const flush = () => {
        if (part.length) rows.push(this.row(group, part, columns, this.height));
        part = [];
      };
      for (const item of items) {
        if (wide.has(item.key)) {
          flush();
          rows.push(this.row(group, [item], 1, Math.round(this.height * 1.7)));
        } else {
          part.push(item);
          if (part.length === columns) flush();
        }
      }
      flush();
    }
    return rows;
  }

  row(group, items, columns, height) {
    return {
      key: `${group}\n${columns}\n${height}\n${items.map((item) => item.key).join("\n")}`, height: height + GAP,
      build: () => {
        const cards = items.map((item) => this.card(item, group));
        const row = el("div", { class: "virtual-row" }, cards.map((card) => card.element));
        row.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
        row.style.paddingBottom = `${GAP}px`;
        return row;
      },
      drop: () => {
        for (const item of items) {
          const key = `${group}\n${item.key}`;
          this.cards.get(key)?.close();
          this.cards.delete(key);
        }
      },
    };
  }

  card(item, group) {
    const card = this.make(item, this);
    card.item = item;
    this.cards.set(`${group}\n${item.key}`, card);
    card.refresh();
    return card;
  }

  head(group, size, isOpen) {
    const name = group === PINNED ? "Pinned" : group || "General";
    return el("button", {
      class: "group-head", aria_expanded: String(isOpen),
      onclick: () => {
        this.toggle("fold", group);
        this.root.querySelector(`[data-group="${CSS.escape(group)}"]`)?.focus();
      }, data_group: group,
    }, icon(ICONS.chevron), el("span", { class: "ellipsis" }, name), el("span", { class: "count" }, count(size)));
  }

  /** The buttons that all cards have. */
  buttons(item) {
    const isPinned = this.names("pin").has(item.key);
    const isWide = this.names("wide").has(item.key);
    const name = item.run === undefined ? item.tag : `${item.tag}, ${item.run}`;
    const button = (key, drawing, label, isOn) =>
      el("button", { class: "quiet tiny square", aria_label: `${label} ${name}`, title: label, aria_pressed: String(isOn),
        onclick: (event) => {
          const isNow = this.toggle(key, item.key);
          event.currentTarget.setAttribute("aria-pressed", String(isNow));
          // The card may have been made anew at another place.
          this.root.querySelector(`[aria-label="${CSS.escape(`${label} ${name}`)}"]`)?.focus();
          this.context.announce(`${label}: ${isNow ? "on" : "off"}`);
        } }, icon(drawing));
    return [this.nodeButton(item), button("pin", ICONS.pin, "Pin", isPinned), button("wide", isWide ? ICONS.shrink : ICONS.expand, "Wide", isWide)];
  }

  /** For a tag that speaks of a node of the graph: a button that shows it there. */
  nodeButton(item) {
    const node = nodeOf(item.tag);
    const info = this.context.info();
    if (!node || !info.pages.includes("graph") || !(info.sides.graph.length || info.kinds.graph.length)) return null;
    return el("button", { class: "quiet tiny square", title: "Show the node in the graph", aria_label: `Show ${node} in the graph`,
      onclick: () => { this.context.select(node); this.context.go("graph"); } }, icon(ICONS.graph));
  }

  close() {
    this.watch.disconnect();
    this.list.close();
  }
}

/** The part of a tag before the first slash. */
export function groupOf(tag) {
  const place = tag.indexOf("/");
  return place > 0 ? tag.slice(0, place) : "";
}

/** The node in a tag that `gf.train.watch` wrote, or "". */
export function nodeOf(tag) {
  const group = groupOf(tag);
  return ["gradients", "activations"].includes(group.split(".")[0]) ? tag.slice(group.length + 1) : "";
}

/** The rest of it. */
export function restOf(tag) {
  const group = groupOf(tag);
  return group ? tag.slice(group.length + 1) || tag : tag;
}
