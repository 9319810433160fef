/** The graph of a run, and the way of the optimizer through it. */

import { el, icon, refill } from "../parts/dom.js";
import { bytes, count, plural } from "../parts/format.js";
import { MODES, flop, legend, seconds, told } from "../parts/graph_colors.js";
import { EditList, JournalSlider } from "../parts/graph_journal.js";
import { Minimap } from "../parts/graph_minimap.js";
import { Scene } from "../parts/graph_scene.js";
import { saveScene } from "../parts/graph_save.js";
import { Search } from "../parts/graph_search.js";
import { ICONS } from "../parts/icons.js";
import { failure } from "../parts/messages.js";
import { NodeCard, bar } from "../parts/node_card.js";
import { RunChoice } from "../parts/run_choice.js";
import { useStyle } from "../parts/side_style.js";

export const title = "Graph";

export function available(info) {
  return Boolean(info.graphs?.length || info.sides?.journal?.length);
}

export async function mount(root, context) {
  await useStyle();
  const page = new GraphPage(root, context);
  await page.start();
  return page;
}

class GraphPage {
  constructor(root, context) {
    Object.assign(this, { root, context, visit: 0, group: "", tracing: "" });
    const state = context.state;
    this.choice = new RunChoice(context, () => this.runs(), () => this.restart());
    this.modes = [["graph", "As built"], ["optimizer", "Optimizer"]].map(([mode, name]) =>
      el("button", { data_mode: mode, onclick: () => this.setMode(mode) }, name));
    this.search = new Search(() => this.names(), (name) => this.context.select(name), context.announce);
    this.color = el("select", { aria_label: "Colour by", onchange: () => this.recolor() }, MODES.map(([mode, name]) => el("option", { value: mode }, `colour: ${name}`)));
    this.color.value = MODES.some(([mode]) => mode === state.get("color")) ? state.get("color") : "family";
    this.stage = el("div", { class: "graph-stage" });
    this.legend = el("div", { class: "graph-legend" });
    this.note = el("div", { class: "graph-note small muted" });
    this.card = new NodeCard(context, () => this.params(), "graph");
    this.edits = new EditList(context, () => this.choice.name);
    this.slider = new JournalSlider(context, (position, side) => this.moveTo(position, side));
    this.traces = [["inputs", "↑ Inputs"], ["outputs", "↓ Outputs"]].map(([way, name]) =>
      el("button", { class: "tiny", data_way: way, title: `All that the node ${way === "inputs" ? "depends on" : "is read by"}, over any distance (${way[0]})`, onclick: () => this.trace(way) }, name));
    this.traceBar = el("div", { class: "trace-bar", hidden: true, role: "group", aria_label: "Trace" }, el("span", { class: "small muted" }, "Trace"), this.traces);
    this.panelTabs = [["node", "Node"], ["pass", "Pass"]].map(([name, words]) => el("button", { data_tab: name, onclick: () => this.tab(name) }, words));
    this.panel = el("aside", { class: "graph-panel", aria_label: "Details" },
      el("div", { class: "segments panel-tabs" }, this.panelTabs), this.traceBar, this.card.root, this.edits.root);
    this.layout();
    this.scene = new Scene(this.stage, { choose: (box) => this.choose(box), toggle: (box) => this.toggle(box), hover: () => {}, moved: () => this.minimap.draw() });
    this.minimap = new Minimap(this.stage, this.scene);
    this.stage.append(this.legend, this.note, this.zoomButtons());
    this.keys();
    context.onSelect((name) => this.selected(name));
    context.onTheme(() => this.minimap.draw());
    context.state.onChange(() => this.restart());
  }

  layout() {
    const button = (text, path, act) => el("button", { class: "square quiet", aria_label: text, title: text, onclick: act }, icon(path));
    const bar = el("div", { class: "graph-bar" }, this.choice.menu,
      el("div", { class: "segments", role: "group", aria_label: "Which graph" }, this.modes), this.search.root, this.color,
      button("Close all scopes (c)", "M4 2.5 8 6l4-3.5M4 13.5 8 10l4 3.5", () => this.collapse()), button("Save as SVG", ICONS.download, () => saveScene(this.scene, `${this.choice.name}-graph`)));
    this.root.classList.add("page-fill");
    refill(this.root, el("div", { class: "graph-page" }, bar, el("div", { class: "graph-middle" }, this.stage, this.panel), this.slider.root));
  }

  zoomButtons() {
    const button = (text, sign, act) => el("button", { class: "square", aria_label: text, title: text, onclick: (event) => { event.stopPropagation(); act(); } }, sign);
    return el("div", { class: "zoom-buttons" }, button("Zoom in (+)", "+", () => this.scene.zoom(1.35)),
      button("Zoom out (−)", "−", () => this.scene.zoom(1 / 1.35)), button("Show all (0)", icon(ICONS.shrink), () => this.scene.fit(true)));
  }

  keys() {
    const beside = (way) => this.walk(way);
    const sideways = (event) => {
      const isRight = event.key === "ArrowRight";
      if (this.mode === "optimizer" && !event.shiftKey) this.slider.to(this.slider.position + (isRight ? 1 : -1));
      else beside(isRight ? "right" : "left");
    };
    this.context.help([
      ["ArrowUp", "go to what the box reads", () => beside("inputs")],
      ["ArrowDown", "go to what reads it", () => beside("outputs")],
      ["ArrowLeft ArrowRight", "go to a neighbour; in the optimizer, to another pass (with Shift, to a neighbour)", sideways],
      ["PageUp PageDown", "previous or next pass that changed something", (event) => { if (this.mode === "optimizer") this.slider.toEdits(event.key === "PageDown" ? 1 : -1); }],
      ["b", "graph before the pass", () => this.side("before")],
      ["n", "both, overlaid", () => this.side("both")],
      ["a", "graph after the pass", () => this.side("after")],
      ["Enter", "open or close the scope", () => { const box = this.here(); if (box && box.name === undefined) this.toggle(box); }],
      ["Backspace", "close the scope around the box", () => this.closeAround()],
      ["i", "trace all inputs", () => this.trace("inputs")],
      ["o", "trace all outputs", () => this.trace("outputs")],
      ["c", "close all scopes", () => this.collapse()],
      ["+ =", "zoom in", () => this.scene.zoom(1.35)],
      ["-", "zoom out", () => this.scene.zoom(1 / 1.35)],
      ["0", "show all", () => this.scene.fit(true)],
      ["z", "centre the chosen box", () => { const box = this.here(); if (box) this.scene.centre(box.key); }],
    ]);
  }

  side(name) {
    if (this.mode === "optimizer" && this.slider.summary.places[this.slider.position].step >= 0) this.slider.show(name);
  }

  runs() {
    const { graphs = [], sides = {} } = this.context.info();
    return [...new Set([...graphs, ...(sides.journal ?? [])])].sort();
  }

  // What is shown

  get mode() {
    const { graphs = [], sides = {} } = this.context.info();
    const run = this.choice.name;
    const hasJournal = sides.journal?.includes(run);
    if (!graphs.includes(run)) return "optimizer";
    return hasJournal && this.context.state.get("view") === "optimizer" ? "optimizer" : "graph";
  }

  params() {
    const run = this.choice.name;
    if (this.mode !== "optimizer" || !this.slider.summary) return { run };
    return { run, position: this.slider.position, shown: this.slider.shown };
  }

  async start() {
    await this.restart();
  }

  /** Begin anew: another run or kind of graph. */
  async restart() {
    const { state } = this.context;
    const isOptimizer = this.mode === "optimizer";
    this.choice.draw();
    this.drawModes();
    this.slider.root.hidden = !isOptimizer;
    this.root.classList.toggle("is-optimizer", isOptimizer);
    this.kept = null;
    this.scene.view = null;
    try {
      if (isOptimizer) await this.openJournal(state);
      this.open = this.savedOpen();
      await this.load({ reveal: this.context.selected() });
      this.tab(isOptimizer && !this.context.selected() ? "pass" : "node");
    } catch (error) {
      failure(this.stage, error);
      console.warn(error);
    }
  }

  drawModes() {
    const { graphs = [], sides = {} } = this.context.info();
    for (const one of this.modes) {
      const listed = one.dataset.mode === "optimizer" ? sides.journal ?? [] : graphs;
      one.setAttribute("aria-pressed", String(one.dataset.mode === this.mode));
      one.disabled = !listed.includes(this.choice.name);
      one.title = one.disabled ? "nothing was logged for it: writer.graph(...), writer.explain(...)" : "";
    }
  }

  async openJournal(state) {
    const summary = await this.context.api("journal", { run: this.choice.name });
    const first = Math.max(summary.places.findIndex((place) => place.step >= 0), 0);
    this.slider.take(summary, Number(state.get("pass", String(first))) || 0, ["before", "after"].includes(state.get("side")) ? state.get("side") : "both");
    await this.edits.show(summary.places[this.slider.position], this.slider.position);
  }

  savedOpen() {
    try {
      const found = JSON.parse(this.context.state.get("open", "null"));
      return Array.isArray(found) ? found.filter((one) => typeof one === "string") : null;
    } catch {
      return null;
    }
  }

  /** Ask for the view, and draw it. */
  async load({ reveal = "", keep = "", centre = Boolean(reveal) } = {}) {
    const visit = ++this.visit;
    const asked = { ...this.params(), open: this.open ? JSON.stringify(this.open) : undefined };
    this.stage.classList.add("is-loading");
    let view;
    try {
      view = await this.context.api("graph", { ...asked, reveal: reveal || undefined });
    } finally {
      if (visit === this.visit) this.stage.classList.remove("is-loading");
    }
    if (visit !== this.visit) return;
    this.view = view;
    if (this.open || reveal) {
      this.open = view.open;
      const text = JSON.stringify(view.open);
      this.context.state.set("open", text.length < 6000 ? text : "");
    } else this.open = view.open;
    this.scene.mode = this.color.value;
    const isNew = !this.scene.view;
    this.scene.show(view, keep);
    if (isNew && this.scene.hasMarks) this.scene.fitMarks();
    this.describe();
    const name = this.context.selected();
    const box = name ? view.boxes.find((one) => one.name === name) : this.scene.box(this.group);
    if (box) this.scene.choose(box.key);
    if (centre && view.revealed >= 0) this.scene.centre(view.boxes[view.revealed].key);
    if (this.tracing) await this.traced();
    if (visit === this.visit) await this.details();
  }

  describe() {
    const { view } = this;
    const left = view.left_closed ? ` · ${plural(view.left_closed, "scope")} left closed, as too much would be drawn` : "";
    this.note.textContent = `${plural(view.nodes, "node")}, ${plural(view.edges, "edge")}${left}`;
    const items = legend(view.boxes, this.color.value, view.totals, this.scene.hasMarks);
    refill(this.legend, el("div", { class: "small legend-title" }, this.scene.hasMarks ? "what the pass did" : told(this.color.value, view.totals)),
      items.map(([paint, words]) => el("span", { class: "small" }, el("i", { class: `key paint-${paint}` }), words)));
  }

  recolor() {
    this.context.state.set("color", this.color.value === "family" ? "" : this.color.value);
    this.scene.paint(this.color.value);
    this.describe();
  }

  setMode(mode) {
    if (mode === this.mode) return;
    this.context.state.set("view", mode === "optimizer" ? mode : "");
    this.context.state.set("open", "");
    this.restart();
  }

  async moveTo(position, side) {
    this.context.state.set("pass", String(position));
    this.context.state.set("side", side === "both" ? "" : side);
    this.context.state.set("open", "");
    this.open = null;
    this.kept = null;
    const place = this.slider.summary.places[position];
    this.context.announce(place.name ? `${place.name}, ${plural(place.entries[1] - place.entries[0], "edit")}` : "as it was built");
    if (!this.context.selected()) this.tab("pass");
    this.scene.wasSized = false;
    this.scene.view = null;
    await Promise.all([this.load({ reveal: this.context.selected(), centre: false }), this.edits.show(place, position)]);
  }

  // Scopes

  async toggle(box) {
    const open = new Set(this.open);
    if (box.open) open.delete(box.key);
    else open.add(box.key);
    this.open = [...open];
    this.group = box.key;
    this.context.announce(`${box.title} ${box.open ? "closed" : "opened"}`);
    await this.load({ keep: box.key });
  }

  async collapse() {
    this.open = [];
    this.context.state.set("open", "");
    this.scene.view = null;
    await this.load();
  }

  async closeAround() {
    const box = this.here();
    const around = box && (box.open ? box : this.view.boxes[box.parent]);
    if (around) await this.toggle(around);
  }

  // Choosing

  here() {
    return this.scene.chosen >= 0 ? this.view?.boxes[this.scene.chosen] : null;
  }

  walk(way) {
    const place = this.scene.beside(this.scene.chosen ?? -1, way);
    if (place < 0) return;
    const box = this.view.boxes[place];
    this.choose(box);
    this.scene.reach(box.key);
    this.context.announce(this.scene.words(box).name);
  }

  choose(box) {
    this.group = box && box.name === undefined ? box.key : "";
    this.context.select(box?.name ?? "");
  }

  /** The name that all pages speak of is another one. */
  async selected(name) {
    const box = name ? this.view?.boxes.find((one) => one.name === name) : this.scene.box(this.group);
    if (this.tracing) this.endTrace();
    if (box || !name) {
      this.scene.choose(box?.key ?? "");
      if (box) this.scene.reach(box.key);
      await this.details();
    } else await this.load({ reveal: name });
    if (name || box) this.tab("node");
  }

  async details() {
    const name = this.context.selected();
    const box = this.scene.box(this.group);
    this.traceBar.hidden = !name;
    await this.card.show(name, () => (box ? this.groupCard(box) : this.overview()));
  }

  groupCard(box) {
    const share = (key, show) => (this.view.totals[key] && box[key] ? [el("dd", {}, show(box[key]), el("span", { class: "muted" }, ` ${((100 * box[key]) / this.view.totals[key]).toFixed(1)} %`), bar(box[key] / this.view.totals[key]))] : null);
    const rows = [["Time", share("seconds", seconds)], ["Work", share("flops", flop)], ["Reads and writes", share("bytes", bytes)]];
    const kinds = { scope: "scope", run: "blocks that are alike", group: "nodes that hang together", part: "a stretch of neighbours" };
    return [el("header", { class: "node-head" }, el("div", { class: "small muted" }, kinds[box.kind]), el("h2", {}, box.title),
      el("div", {}, box.times ? `${count(box.times)} × ${plural(Math.round(box.nodes / box.times), "node")}` : plural(box.nodes, "node"))),
    el("div", { class: "node-places" }, el("button", { class: "tiny", onclick: () => this.toggle(box) }, box.open ? "Close" : "Open")),
    box.marks ? el("p", {}, Object.entries(box.marks).map(([mark, number]) => el("span", { class: `badge mark-${mark}` }, `${count(number)} ${mark}`))) : null,
    el("dl", { class: "node-facts" }, rows.filter(([, one]) => one).map(([name, one]) => [el("dt", {}, name), one]))];
  }

  overview() {
    const { totals } = this.view ?? { totals: {} };
    const rows = [["Nodes", count(this.view?.nodes ?? 0)], ["Edges", count(this.view?.edges ?? 0)], ["Work", totals.flops ? flop(totals.flops) : ""],
      ["Reads and writes", totals.bytes ? bytes(totals.bytes) : ""], ["Time, one by one", totals.seconds ? seconds(totals.seconds) : ""]];
    return [el("header", { class: "node-head" }, el("h2", {}, this.choice.name), el("div", { class: "muted" }, "Choose a node to see what is known of it. Open a scope by a double click, or Enter.")),
      el("dl", { class: "node-facts" }, rows.filter(([, one]) => one).map(([name, one]) => [el("dt", {}, name), el("dd", {}, one)]))];
  }

  tab(name) {
    const isOptimizer = this.mode === "optimizer";
    const shown = isOptimizer ? name : "node";
    for (const one of this.panelTabs) one.setAttribute("aria-pressed", String(one.dataset.tab === shown));
    this.panelTabs[0].parentElement.hidden = !isOptimizer;
    this.card.root.hidden = shown !== "node";
    this.traceBar.hidden = shown !== "node" || !this.context.selected();
    this.edits.root.hidden = shown !== "pass";
  }

  // Tracing

  async trace(way) {
    if (!this.context.selected()) return;
    if (this.tracing === way) { this.endTrace(); return; }
    this.tracing = way;
    await this.traced();
  }

  async traced() {
    const found = await this.context.api("graph/trace", { ...this.params(), node: this.context.selected(), direction: this.tracing, open: JSON.stringify(this.open ?? []) });
    found.items[this.here()?.key] = 1;
    this.scene.trace(found.items);
    for (const one of this.traces) one.setAttribute("aria-pressed", String(one.dataset.way === this.tracing));
    const text = `${plural(found.nodes, "node")} ${this.tracing === "inputs" ? "before it" : "after it"}`;
    this.context.announce(text);
    this.traceBar.firstChild.textContent = text;
  }

  endTrace() {
    this.tracing = "";
    this.scene.trace(null);
    for (const one of this.traces) one.setAttribute("aria-pressed", "false");
    this.traceBar.firstChild.textContent = "Trace";
  }

  async names() {
    const key = JSON.stringify(this.params());
    if (this.kept?.key !== key) this.kept = { key, found: await this.context.api("graph/names", this.params()) };
    return this.kept.found;
  }

  async update() {
    const before = this.choice.name;
    this.choice.draw();
    this.drawModes();
    if (this.choice.name !== before || !this.view) await this.restart();
  }

  unmount() {
    this.visit += 1;
    this.scene.close();
    this.search.close();
    this.slider.close();
  }
}
