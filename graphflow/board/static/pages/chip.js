/** A compiled model in a run's folder: what both engines of the chip do over time, and what local memory holds. */

import { el, refill } from "../parts/dom.js";
import { bytes, count, plural } from "../parts/format.js";
import { seconds } from "../parts/graph_colors.js";
import { Plane } from "../parts/plane.js";
import { SidePage } from "../parts/side_page.js";

export const title = "Chip";

const HUES = ["blue", "green", "amber", "orange", "pink", "sky", "yellow", "slate", "grey"];
const KINDS = [["Convolution", "blue"], ["Matrix", "sky"], ["load", "green"], ["store", "pink"], ["Pool", "orange"], ["Scalar", "yellow"], ["Arithmetic", "amber"], ["Fill", "grey"]];
const LANE = 46;
// What a cell of local memory holds, as the numbers of the server.
const CELLS = { 1: "blue", 2: "amber", 4: "pink", 8: "green", 16: "slate" };

export function available(info) {
  return runs(info).length > 0;
}

export function mount(root, context) {
  return ChipPage.mount(root, context);
}

function runs(info) {
  return info.chips ?? [];
}

class ChipPage extends SidePage {
  constructor(root, context) {
    super(root, context, () => runs(context.info()));
    this.asked = 0;
    this.model = el("select", { aria_label: "Compiled model", onchange: () => { context.state.set("model", this.model.value); context.state.set("stage", ""); this.load(); } });
    this.stage = el("select", { aria_label: "Stage", onchange: () => { context.state.set("stage", this.stage.value); this.load(); } });
    refill(root, el("div", { class: "plan-page" }, el("div", { class: "graph-bar" }, this.choice.menu, this.model, this.stage),
      el("div", { class: "plan-middle" }, this.main)));
    this.plane = new Plane("What both engines do over time", 2 * LANE + 60, {
      finest: 1e-5, draw: (pen, plane) => this.draw(pen, plane), hit: (time, y, plane) => this.hit(time, y, plane), told: (one) => this.told(one),
      choose: (one) => { if (one !== null) this.toGroup(this.spans.group[one]); }, margins: { left: 64 }, moved: () => this.moved(),
    });
    this.lanes = new Plane("What the lanes of local memory hold over time", 330, {
      isVertical: true, finest: 1e-5, draw: (pen, plane) => this.drawLanes(pen, plane), hit: (time, y, plane) => this.cell(time, y, plane), told: (one) => one,
      margins: { left: 64 }, moved: (plane) => { [this.plane.from, this.plane.to] = [plane.from, plane.to]; this.plane.draw(); this.later(); },
    });
    context.help([...this.plane.keys(), [", .", "the group before or after", (event) => this.toGroup(this.group + (event.key === "." ? 1 : -1))]]);
    context.state.onChange(() => this.load());
    context.onTheme(() => { this.picture = null; this.plane.draw(); this.lanes.draw(); });
  }

  params() {
    return { run: this.choice.name, model: this.context.state.get("model") || undefined, stage: this.context.state.get("stage") || undefined };
  }

  ask() {
    this.group = -1;
    return this.context.api("chip", this.params());
  }

  async take(summary) {
    this.summary = summary;
    this.menus();
    this.page();
    this.plane.range(0, summary.seconds || 1e-9);
    this.lanes.range(0, summary.seconds || 1e-9, 1);
    this.isFitted = false;
    await this.detail();
  }

  menus() {
    const { models, stages } = this.summary;
    refill(this.model, models.map((name) => el("option", { value: name }, name)));
    this.model.value = this.context.state.get("model") || models[0];
    refill(this.stage, stages.map((one, place) => el("option", { value: place }, `${one.net}, stage ${place}`)));
    this.stage.value = this.context.state.get("stage") || "0";
    this.stage.hidden = stages.length < 2;
  }

  page() {
    const { seconds: whole, busy, stalled, bound, commands, stages, groups, kinds } = this.summary;
    const here = stages[Number(this.stage.value)] ?? stages[0];
    const tile = (name, told, more) => el("div", { class: "card tile" }, el("div", { class: "small muted" }, name), el("div", { class: "value" }, told), el("div", { class: "small muted" }, more));
    const share = (part) => `${((100 * part) / (whole || 1)).toFixed(1)} %`;
    const engine = (name, words) => tile(words, share(busy[name]), `busy ${seconds(busy[name])}, waits ${seconds(stalled[name])}`);
    this.keysOfKinds = el("div", { class: "legend" });
    this.keysOfCells = el("div", { class: "legend" });
    refill(this.main, el("div", { class: "tiles plan-tiles" }, tile("time", seconds(whole), plural(commands, "command")), engine("tiu", "tensor unit"), engine("gdma", "data mover"),
      tile("bound", seconds(bound), "the busier engine's work"), tile("coefficients", bytes(here.coefficient_bytes), `${bytes(here.context_bytes)} of context`)),
    el("p", { class: "small muted" }, `${here.net}: ${here.inputs.join(", ")} → ${here.outputs.join(", ")}. Cycles are the vendor's estimates. The wheel zooms the time, with Shift the offsets in local memory; a double click shows all.`),
    el("div", { class: "plane-head" }, el("h2", {}, "Two engines"), this.keysOfKinds), this.plane.root,
    el("div", { class: "plane-head" }, el("h2", {}, "Local memory"), this.keysOfCells), this.lanes.root,
    el("h2", {}, "Groups of layers"), this.groupTable(groups, whole), el("h2", {}, "Kinds of commands"), this.kindTable(kinds, whole));
  }

  groupTable(groups, whole) {
    const row = (one) => el("tr", { data_group: one.group }, el("td", {}, el("button", { class: "link", onclick: () => this.toGroup(one.group) }, `group ${one.group}`)),
      el("td", { class: "number" }, seconds(one.end - one.start)), el("td", { class: "number" }, `${((100 * (one.end - one.start)) / (whole || 1)).toFixed(1)} %`), el("td", { class: "number" }, seconds(one.tiu)), el("td", { class: "number" }, seconds(one.gdma)),
      el("td", { class: "number" }, count(one.commands)), el("td", {}, el("span", { class: `badge ${one.tiu >= one.gdma ? "good" : "warn"}` }, one.tiu >= one.gdma ? "compute" : "transfer")));
    return table(["", "time", "share", "tensor unit", "data mover", "commands", "bound by"], groups.slice(0, 500).map(row));
  }

  kindTable(kinds, whole) {
    const row = (one) => el("tr", {}, el("td", {}, one.label), el("td", { class: "number" }, seconds(Number(one.tiu_seconds) + Number(one.gdma_seconds))), el("td", { class: "number" }, `${((100 * (one.tiu_seconds + one.gdma_seconds)) / (whole || 1)).toFixed(1)} %`),
      el("td", { class: "number" }, count(one.macs)), el("td", { class: "number" }, bytes(one.ddr_bytes)), el("td", { class: "number" }, count(one.commands)), el("td", {}, one.bound));
    return table(["command", "time", "share", "multiply-adds", "DDR", "commands", "bound by"], kinds.map(row));
  }

  toGroup(number) {
    const found = this.summary.groups.find(({ group }) => group === number);
    if (!found) return;
    this.group = number;
    this.plane.shift(found.start, Math.max(found.end - found.start, 1e-9));
    for (const one of this.main.querySelectorAll("tr[data-group]")) one.classList.toggle("is-chosen", Number(one.dataset.group) === number);
    this.context.announce(`group ${number}, ${seconds(found.end - found.start)}`);
  }

  moved() {
    [this.lanes.from, this.lanes.to] = [this.plane.from, this.plane.to];
    this.lanes.draw();
    this.later();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.detail().catch((error) => this.context.announce(error.message)), 150);
  }

  /** Ask for what is in sight in as much detail as can be seen. */
  async detail() {
    const asked = ++this.asked;
    const part = { ...this.params(), start: Math.floor(this.plane.from * 1e9), end: Math.ceil(this.plane.to * 1e9) };
    const [spans, cells] = await Promise.all([this.context.api("chip/spans", part), this.context.api("chip/memory", part)]);
    if (asked !== this.asked) return;
    this.kinds = spans.kinds;
    this.spans = spans.spans;
    this.cells = { ...cells, from: this.plane.from, to: this.plane.to, data: Uint8Array.from(atob(cells.cells), (letter) => letter.charCodeAt(0)) };
    this.picture = null;
    if (!this.isFitted) this.fitLanes();
    refill(this.keysOfKinds, this.kinds.map((name) => el("span", {}, el("i", { class: `key paint-${paintOf(name)}` }), name.replace(/^\w+: /, "").length > 14 ? name.split(":")[0] : name.replace(": ", " · "))));
    refill(this.keysOfCells, Object.entries(cells.meaning).map(([bit, words]) => el("span", {}, el("i", { class: `key paint-${CELLS[bit] ?? "grey"}` }), words)));
    this.plane.draw();
    this.lanes.draw();
  }

  /** Show what of the lanes is in use. */
  fitLanes() {
    this.isFitted = true;
    const { rows, columns, data } = this.cells;
    const last = data.findLastIndex((one) => one > 0);
    const used = (Math.floor(Math.max(last, 0) / columns) + 1) / rows;
    this.lanes.low = 0;
    this.lanes.high = Math.min(1, Math.max(used * 1.1, 4 / rows));
  }

  draw(pen, plane) {
    const micro = (at) => seconds(at) || "0";
    plane.axis(pen, micro);
    ["tensor unit", "data mover"].forEach((name, row) => {
      pen.textAlign = "right";
      pen.fillStyle = plane.token("--muted");
      name.split(" ").forEach((word, line) => pen.fillText(word, plane.margins.left - 8, plane.margins.top + row * (LANE + 6) + 17 + 13 * line));
    });
    if (!this.spans) return;
    plane.clip(pen, () => {
      this.spans.start.forEach((from, place) => {
        const [left, right] = [plane.x(from / 1e6), plane.x(this.spans.end[place] / 1e6)];
        if (right < plane.margins.left || left > plane.width) return;
        const top = plane.margins.top + this.spans.engine[place] * (LANE + 6);
        const paint = paintOf(this.kinds[this.spans.kind[place]]);
        const width = Math.max(right - left, 0.7);
        pen.fillStyle = plane.token(width > 2 ? `--p-${paint}` : `--l-${paint}`);
        pen.fillRect(left, top, width, LANE);
        if (width > 2) {
          pen.strokeStyle = plane.token(plane.lit === place ? "--accent" : `--l-${paint}`);
          pen.lineWidth = plane.lit === place ? 2 : 1;
          pen.strokeRect(left + 0.5, top + 0.5, width - 1, LANE - 1);
        }
        const letters = Math.floor((width - 8) / 6.4);
        if (letters > 4) {
          const name = this.kinds[this.spans.kind[place]].split(":")[0] + (this.spans.commands[place] > 1 ? ` × ${this.spans.commands[place]}` : "");
          pen.fillStyle = plane.token("--ink");
          pen.textAlign = "left";
          pen.fillText(name.length > letters ? `${name.slice(0, letters - 1)}…` : name, Math.max(left, plane.margins.left) + 4, top + LANE / 2);
        }
      });
      this.divide(pen, plane);
    });
  }

  /** The ends of groups. */
  divide(pen, plane) {
    pen.strokeStyle = plane.token("--line-strong");
    pen.lineWidth = 1;
    for (const { end } of this.summary.groups.slice(0, -1)) {
      const x = plane.x(end);
      if (x < plane.margins.left || x > plane.width) continue;
      pen.beginPath();
      pen.moveTo(x, plane.margins.top);
      pen.lineTo(x, plane.height - plane.margins.bottom);
      pen.stroke();
    }
  }

  hit(time, y, plane) {
    if (!this.spans) return null;
    const engine = Math.floor((y - plane.margins.top) / (LANE + 6));
    const slack = (1e6 * (plane.to - plane.from)) / plane.inner;
    const at = time * 1e6;
    let best = null;
    this.spans.start.some((from, place) => {
      if (this.spans.engine[place] !== engine || at < from - slack || at > this.spans.end[place] + slack) return false;
      best = place;
      return at >= from && at <= this.spans.end[place];
    });
    return best;
  }

  told(place) {
    const { start, end, group, commands, stall, kind } = this.spans;
    return [this.kinds[kind[place]], `${((end[place] - start[place])).toFixed(2)} µs from ${start[place].toFixed(2)} µs`,
      `group ${group[place]}${commands[place] > 1 ? `, ${plural(commands[place], "command")}` : ""}`, stall[place] ? `its engine waited ${stall[place].toFixed(2)} µs for it` : ""];
  }

  drawLanes(pen, plane) {
    pen.textAlign = "right";
    const banks = this.cells?.banks ?? 8;
    if (this.cells) {
      this.picture ??= this.paintCells(plane);
      plane.clip(pen, () => {
        pen.imageSmoothingEnabled = false;
        pen.globalAlpha = 0.62;
        const [left, right] = [plane.x(this.cells.from), plane.x(this.cells.to)];
        pen.drawImage(this.picture, left, plane.y(1), right - left, plane.y(0) - plane.y(1));
      });
    }
    pen.strokeStyle = plane.token("--line-strong");
    pen.lineWidth = 0.6;
    const isNear = plane.high - plane.low < 0.3;
    pen.fillStyle = plane.token("--muted");
    for (let row = 0; isNear && row <= 4; row += 1) {
      const level = plane.low + ((plane.high - plane.low) * row) / 4;
      pen.fillText(bytes(level * (this.cells?.lane_bytes ?? 0)), plane.margins.left - 8, Math.max(plane.y(level), plane.margins.top + 6));
    }
    for (let bank = 0; bank <= banks; bank += 1) {
      const y = plane.y(bank / banks);
      if (y < plane.margins.top - 1 || y > plane.height - plane.margins.bottom + 1) continue;
      pen.beginPath();
      pen.moveTo(plane.margins.left, y);
      pen.lineTo(plane.width - plane.margins.right, y);
      pen.stroke();
      pen.fillStyle = plane.token("--muted");
      if (bank < banks && !isNear) pen.fillText(`bank ${bank}`, plane.margins.left - 8, Math.max(plane.y((bank + 0.5) / banks), plane.margins.top + 6));
    }
    plane.axis(pen, (at) => seconds(at) || "0");
  }

  paintCells(plane) {
    const { rows, columns, data } = this.cells;
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: columns, height: rows });
    const pen = canvas.getContext("2d");
    for (const [bit, paint] of Object.entries(CELLS)) {
      pen.fillStyle = plane.token(bit === "16" ? `--p-${paint}` : `--l-${paint}`);
      for (let row = 0; row < rows; row += 1) {
        let from = -1;
        for (let column = 0; column <= columns; column += 1) {
          const is = column < columns && data[row * columns + column] === Number(bit);
          if (is && from < 0) from = column;
          if (!is && from >= 0) { pen.fillRect(from, rows - 1 - row, column - from, 1); from = -1; }
        }
      }
    }
    return canvas;
  }

  cell(time, y, plane) {
    if (!this.cells) return null;
    const { rows, columns, data, from, to, lane_bytes: lane, meaning } = this.cells;
    const row = Math.floor(plane.level(y) * rows);
    const column = Math.floor(((time - from) / (to - from)) * columns);
    if (row < 0 || row >= rows || column < 0 || column >= columns) return null;
    const offset = Math.floor((row * lane) / rows);
    return [meaning[data[row * columns + column]] ?? "not in use", `offset ${bytes(offset)} of each lane, bank ${Math.floor((row * this.cells.banks) / rows)}`, seconds(time)];
  }

  get planes() {
    return [this.plane, this.lanes];
  }

  unmount() {
    this.asked += 1;
    clearTimeout(this.timer);
    super.unmount();
  }
}

function table(heads, rows) {
  return el("div", { class: "table-box" }, el("table", { class: "data" }, el("thead", {}, el("tr", {}, heads.map((name, place) => el("th", { class: place && place < heads.length - 1 ? "number" : "" }, name)))), el("tbody", {}, rows)));
}

function paintOf(name) {
  const kind = KINDS.find(([words]) => name.includes(words));
  if (kind) return kind[1];
  let sum = 3;
  for (let place = 0; place < name.length; place += 1) sum = (sum * 33 + name.charCodeAt(place)) % 9973;
  return HUES[sum % HUES.length];
}
