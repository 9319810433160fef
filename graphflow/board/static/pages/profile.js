/** The time of each node of a run: as a flame over the scopes, and as a table. */

import { el, icon, refill } from "../parts/dom.js";
import { bytes, count, plural } from "../parts/format.js";
import { flop, seconds } from "../parts/graph_colors.js";
import { ICONS } from "../parts/icons.js";
import { NodeCard } from "../parts/node_card.js";
import { Plane } from "../parts/plane.js";
import { SidePage } from "../parts/side_page.js";
import { SortTable } from "../parts/sort_table.js";

export const title = "Profile";

const ROW = 22;
const DEEPEST = 14;
const HUES = ["blue", "green", "amber", "orange", "pink", "sky", "yellow", "slate"];

export function available(info) {
  return runs(info).length > 0;
}

export function mount(root, context) {
  return ProfilePage.mount(root, context);
}

function runs(info) {
  return info.sides?.profile ?? [];
}

class ProfilePage extends SidePage {
  constructor(root, context) {
    super(root, context, () => runs(context.info()));
    this.kind = context.state.get("by") === "scope" ? "scope" : "order";
    this.kinds = [["order", "As it ran"], ["scope", "By scope"]].map(([kind, name]) => el("button", { data_kind: kind, onclick: () => this.setKind(kind) }, name));
    this.find = el("input", { type: "search", placeholder: "Filter nodes (regex)", aria_label: "Filter nodes by a regular expression", oninput: () => { clearTimeout(this.timer); this.timer = setTimeout(() => this.filter(), 100); } });
    this.card = new NodeCard(context, () => ({ run: this.choice.name }), "profile");
    refill(root, el("div", { class: "plan-page" },
      el("div", { class: "graph-bar" }, this.choice.menu, el("div", { class: "segments", role: "group", aria_label: "Flame" }, this.kinds), el("div", { class: "graph-search" }, icon(ICONS.search), this.find)),
      el("div", { class: "plan-middle" }, this.main, el("aside", { class: "graph-panel", aria_label: "Details" }, this.card.root))));
    this.plane = new Plane("Flame of time by scopes", 160, {
      finest: 1e-5, draw: (pen, plane) => this.draw(pen, plane), hit: (time, y, plane) => this.hit(time, y, plane), told: (one) => this.told(this.blocks[one]),
      choose: (one) => this.choose(one), margins: { left: 28, right: 28, top: 8 },
    });
    this.table = new SortTable("Time of nodes", this.columns(), (row) => context.select(this.rows.name[row]), "seconds");
    this.table.chosen = (row) => this.rows.name[row] === context.selected() && Boolean(context.selected());
    context.help([...this.plane.keys(), ["f", "as it ran, or by scope", () => this.setKind(this.kind === "order" ? "scope" : "order")]]);
    context.onSelect(() => this.selected());
    context.state.onChange(() => { this.kind = context.state.get("by") === "scope" ? "scope" : "order"; this.load(); });
    context.onTheme(() => this.plane.draw());
  }

  columns() {
    const of = (key) => (row) => this.rows[key][row];
    const share = (row) => `${((100 * this.rows.seconds[row]) / (this.profile.seconds || 1)).toFixed(1)} %`;
    return [
      { key: "name", name: "node", value: of("name"), show: (row) => tail(this.rows.name[row]) },
      { key: "op", name: "operator", value: of("op"), show: of("op") },
      { key: "seconds", name: "time", value: of("seconds"), show: (row) => seconds(this.rows.seconds[row]), isNumber: true },
      { key: "share", name: "share", value: of("seconds"), show: share, isNumber: true },
      { key: "bytes", name: "bytes", value: of("bytes"), show: (row) => bytes(this.rows.bytes[row]), isNumber: true },
      { key: "flops", name: "work", value: of("flops"), show: (row) => flop(this.rows.flops[row]), isNumber: true },
      { key: "line", name: "line", value: of("line"), show: of("line") },
    ];
  }

  ask() {
    return this.context.api("profile", { run: this.choice.name });
  }

  async take(profile) {
    this.profile = profile;
    this.rows = profile.rows;
    const slowest = this.rows.seconds.reduce((best, one, row) => (one > this.rows.seconds[best] ? row : best), 0);
    refill(this.main,
      el("div", { class: "plane-head" }, el("h2", {}, `${seconds(profile.seconds)} on ${profile.backend || "a backend"}`),
        el("span", { class: "small muted" }, `${plural(profile.count, "node")} one by one${this.rows.name.length ? `; slowest: ${this.rows.name[slowest]}` : ""}${profile.left_out ? `; the fastest ${count(profile.left_out)} are left out` : ""}`)),
      this.plane.root, el("div", { class: "plane-head" }, el("h2", {}, "Nodes"), this.note = el("span", { class: "small muted" })), this.table.root);
    this.build();
    this.filter();
    await this.selected();
  }

  setKind(kind) {
    this.kind = kind;
    this.context.state.set("by", kind === "scope" ? kind : "");
    this.build();
  }

  /** The blocks of the flame: { level, start, end, name, node }. */
  build() {
    for (const one of this.kinds) one.setAttribute("aria-pressed", String(one.dataset.kind === this.kind));
    this.blocks = this.kind === "order" ? inOrder(this.rows) : byScope(this.rows);
    this.levels = Math.max(1, ...this.blocks.map(({ level }) => level + 1));
    this.byLevel = Array.from({ length: this.levels }, () => []);
    this.blocks.forEach((block, place) => this.byLevel[block.level].push(place));
    this.plane.root.style.height = `${this.levels * ROW + 42}px`;
    this.plane.range(0, Math.max(this.profile.seconds, 1e-9));
  }

  draw(pen, plane) {
    if (!this.blocks) return;
    plane.axis(pen, (at) => seconds(at) || "0");
    const chosen = this.context.selected();
    plane.clip(pen, () => {
      for (const listed of this.byLevel) {
        let until = -1;
        for (const place of listed) {
          const block = this.blocks[place];
          if (block.end < plane.from || block.start > plane.to) continue;
          const [left, right] = [plane.x(block.start), plane.x(block.end)];
          const isChosen = chosen && block.node === chosen;
          // Blocks narrower than what is seen are drawn once a pixel.
          if (right - left < 0.6 && right <= until && !isChosen) continue;
          until = Math.max(right, left + 0.6);
          const top = plane.margins.top + block.level * ROW;
          pen.globalAlpha = !this.wanted || this.wanted(block) ? 1 : 0.18;
          pen.fillStyle = plane.token(block.node ? `--p-${block.paint}` : "--p-open-deep");
          pen.fillRect(left, top, Math.max(right - left, 0.8), ROW - 2);
          if (right - left > 3) {
            pen.strokeStyle = plane.token(isChosen || plane.lit === place ? "--accent" : block.node ? `--l-${block.paint}` : "--l-open");
            pen.lineWidth = isChosen ? 2.5 : 1;
            pen.strokeRect(left + 0.5, top + 0.5, right - left - 1, ROW - 3);
          } else if (isChosen) {
            pen.fillStyle = plane.token("--accent");
            pen.fillRect(left - 1, top, Math.max(right - left, 2), ROW - 2);
          }
          const seen = Math.max(left, plane.margins.left);
          const letters = Math.floor((Math.min(right, plane.width - plane.margins.right) - seen - 8) / 6.2);
          if (letters > 3) {
            pen.fillStyle = plane.token("--ink");
            pen.textAlign = "left";
            pen.fillText(block.name.length > letters ? `${block.name.slice(0, letters - 1)}…` : block.name, seen + 4, top + ROW / 2 - 1);
          }
        }
      }
      pen.globalAlpha = 1;
    });
  }

  hit(time, y, plane) {
    const level = Math.floor((y - plane.margins.top) / ROW);
    const slack = (plane.to - plane.from) / plane.inner;
    const found = (this.byLevel?.[level] ?? []).find((place) => this.blocks[place].start - slack <= time && time <= this.blocks[place].end + slack);
    return found ?? null;
  }

  told(block) {
    const part = `${seconds(block.end - block.start)} · ${((100 * (block.end - block.start)) / (this.profile.seconds || 1)).toFixed(2)} %`;
    if (!block.node) return [block.path, part, plural(block.count, "node")];
    const { row } = block;
    return [block.node, part, `${this.rows.op[row]} · ${this.rows.type[row]}`, `${bytes(this.rows.bytes[row])}, ${flop(this.rows.flops[row])}`, this.rows.line[row] && `at ${this.rows.line[row]}`];
  }

  choose(place) {
    const block = place === null ? null : this.blocks[place];
    if (block && !block.node) this.plane.shift(block.start, Math.max(block.end - block.start, this.profile.seconds * 1e-4));
    else this.context.select(block?.node ?? "");
  }

  filter() {
    const text = this.find.value;
    this.wanted = null;
    this.find.removeAttribute("aria-invalid");
    if (text) {
      try {
        const expression = new RegExp(text, "i");
        this.wanted = (block) => !block.node || expression.test(block.node.slice(0, 1000)) || expression.test(this.rows.op[block.row]);
      } catch {
        this.find.setAttribute("aria-invalid", "true");
      }
    }
    const rows = this.rows.name.map((_, row) => row).filter((row) => !this.wanted || this.wanted({ node: this.rows.name[row], row }));
    const total = rows.reduce((sum, row) => sum + this.rows.seconds[row], 0);
    this.note.textContent = text ? `${plural(rows.length, "node")}, ${seconds(total)}, ${((100 * total) / (this.profile.seconds || 1)).toFixed(1)} %` : "click a head to sort";
    this.table.show(rows);
    this.plane.draw();
  }

  async selected() {
    const name = this.context.selected();
    if (this.rows) {
      this.table.show(this.table.rows);
      const row = this.rows.name.indexOf(name);
      if (name && row >= 0) {
        this.table.reach(row);
        const block = this.blocks.find((one) => one.node === name);
        if (block) this.plane.show(block.start, block.end);
      }
      this.plane.draw();
    }
    await this.card.show(name, () => el("p", { class: "muted" }, "Choose a node in the flame or the table. A scope, when clicked, fills the flame; a double click shows all again."));
  }

  get planes() {
    return [this.plane, this.table];
  }

  unmount() {
    clearTimeout(this.timer);
    super.unmount();
  }
}

/** A name in a line of the table: what is longer loses its beginning. */
function tail(name) {
  return name.length > 34 ? `…${name.slice(-33)}` : name;
}

/** What a name consists of, not deeper than is drawn. */
function parts(name) {
  const found = name.split("/");
  return found.length > DEEPEST ? [...found.slice(0, DEEPEST - 1), found.slice(DEEPEST - 1).join("/")] : found;
}

function hue(text) {
  let sum = 7;
  for (let place = 0; place < text.length; place += 1) sum = (sum * 31 + text.charCodeAt(place)) % 9973;
  return HUES[sum % HUES.length];
}

/** Nodes one after another; neighbours in one scope share its block. */
function inOrder(rows) {
  const blocks = [];
  const open = [];
  rows.name.forEach((name, row) => {
    const steps = parts(name);
    const [start, end] = [rows.start[row], rows.start[row] + rows.seconds[row]];
    for (let level = 0; level < steps.length - 1; level += 1) {
      const path = steps.slice(0, level + 1).join("/");
      if (open[level]?.path === path) { open[level].end = end; open[level].count += 1; continue; }
      open.length = level;
      open[level] = { level, start, end, name: steps[level], path, count: 1, node: "" };
      blocks.push(open[level]);
    }
    open.length = steps.length - 1;
    blocks.push({ level: steps.length - 1, start, end, name: steps.at(-1), node: name, row, paint: hue(rows.op[row]) });
  });
  return blocks;
}

/** Scopes with the sums of what is in them, the largest first. */
function byScope(rows) {
  const root = { inner: new Map(), total: 0, leaves: [], count: 0 };
  rows.name.forEach((name, row) => {
    let at = root;
    const steps = parts(name);
    steps.slice(0, -1).forEach((step, level) => {
      if (!at.inner.has(step)) at.inner.set(step, { inner: new Map(), total: 0, leaves: [], count: 0, name: step, path: steps.slice(0, level + 1).join("/") });
      at = at.inner.get(step);
      at.total += rows.seconds[row];
      at.count += 1;
    });
    at.leaves.push({ total: rows.seconds[row], row, name: steps.at(-1) });
  });
  const blocks = [];
  const pending = [[root, 0, 0]];
  while (pending.length) {
    const [scope, level, from] = pending.pop();
    let start = from;
    for (const one of [...scope.inner.values(), ...scope.leaves].sort((a, b) => b.total - a.total)) {
      const end = start + one.total;
      if (one.inner) {
        blocks.push({ level, start, end, name: one.name, path: one.path, count: one.count, node: "" });
        pending.push([one, level + 1, start]);
      } else blocks.push({ level, start, end, name: one.name, node: rows.name[one.row], row: one.row, paint: hue(rows.op[one.row]) });
      start = end;
    }
  }
  return blocks.sort((a, b) => a.level - b.level || a.start - b.start);
}
