/** The memory plan of a run: where each value lies in the arena and when, what is live, and what would fit. */

import { el, icon, refill } from "../parts/dom.js";
import { bytes, count, plural } from "../parts/format.js";
import { ICONS } from "../parts/icons.js";
import { NodeCard, bar } from "../parts/node_card.js";
import { Plane } from "../parts/plane.js";
import { SidePage } from "../parts/side_page.js";

export const title = "Memory";

export function available(info) {
  return runs(info).length > 0;
}

export function mount(root, context) {
  return MemoryPage.mount(root, context);
}

function runs(info) {
  return info.sides?.memory ?? [];
}

// By the part of the time that a value lives.
const PAINTS = [[0.02, "pink", "lives up to 2 % of the time"], [0.1, "amber", "up to 10 %"], [0.5, "green", "up to 50 %"], [1, "blue", "longer"]];
const LIVE_HEIGHT = 120;

class MemoryPage extends SidePage {
  constructor(root, context) {
    super(root, context, () => runs(context.info()));
    this.position = -1;
    this.find = el("input", { type: "search", placeholder: "Find a value (regex)", aria_label: "Find a value by a regular expression", oninput: () => this.search() });
    this.card = new NodeCard(context, () => ({ run: this.choice.name }), "memory");
    this.peak = el("section", { class: "node-card" });
    refill(root, el("div", { class: "plan-page" }, el("div", { class: "graph-bar" }, this.choice.menu, el("div", { class: "graph-search" }, icon(ICONS.search), this.find)),
      el("div", { class: "plan-middle" }, this.main, el("aside", { class: "graph-panel", aria_label: "Details" }, this.card.root, this.peak))));
    this.plane = new Plane("Memory: address upwards, steps of the program to the right", 420, {
      isVertical: true, finest: 1e-4, draw: (pen, plane) => this.draw(pen, plane), hit: (time, y, plane) => this.hit(time, y, plane),
      told: (at) => this.told(at), choose: (at) => this.choose(at), margins: { left: 76 }, moved: (plane) => this.follow(plane),
    });
    this.live = new Plane("Bytes that are live at each step", LIVE_HEIGHT, {
      finest: 1e-4, draw: (pen, plane) => this.drawLive(pen, plane), hit: (time) => Math.floor(time),
      told: (at) => this.toldAt(at), choose: (at) => this.at(at), margins: { left: 76, bottom: 8 }, moved: (plane) => this.follow(plane),
    });
    context.help([...this.plane.keys(), ["p", "go to the peak", () => this.at(this.plan.peak.position, true)],
      [", .", "the step before or after", (event) => this.at(Math.max(0, Math.min(this.plan.positions - 1, this.position + (event.key === "." ? 1 : -1))), true)]]);
    context.onSelect(() => this.selected());
    context.state.onChange(() => this.load());
    context.onTheme(() => { this.plane.draw(); this.live.draw(); });
  }

  follow(plane) {
    const other = plane === this.plane ? this.live : this.plane;
    if (other.from === plane.from && other.to === plane.to) return;
    [other.from, other.to] = [plane.from, plane.to];
    other.draw();
  }

  ask() {
    return this.context.api("memory", { run: this.choice.name });
  }

  take(plan) {
    this.plan = plan;
    const { values } = plan;
    this.order = values.name.map((_, place) => place).sort((a, b) => values.bytes[b] * (values.last[b] - values.first[b]) - values.bytes[a] * (values.last[a] - values.first[a]));
    const top = Math.max(plan.arena_bytes, ...values.offset.map((one, place) => one + values.bytes[place]), 1);
    const tile = (name, size, more) => el("div", { class: "card tile" }, el("div", { class: "small muted" }, name), el("div", { class: "value" }, bytes(size)), el("div", { class: "small muted" }, more));
    const paints = PAINTS.map(([, paint, words]) => el("span", {}, el("i", { class: `key paint-${paint}` }), words));
    refill(this.main,
      el("div", { class: "tiles plan-tiles" },
        tile("arena", plan.arena_bytes, plan.lower_bound_bytes ? `${(100 * plan.gap).toFixed(1)} % above the bound` : "nothing to place"), tile("lower bound", plan.lower_bound_bytes, "live at the peak"),
        tile("without reuse", plan.naive_bytes, plan.arena_bytes ? `${(plan.naive_bytes / plan.arena_bytes).toFixed(1)} × the arena` : ""), tile("arguments", plan.argument_bytes, "variables and feeds"),
        tile("outputs", plan.output_bytes, ""), tile("in all", plan.total_bytes, plan.in_place ? `${plural(plan.in_place, "result")} in place` : "")),
      el("div", { class: "plane-head" }, el("h2", {}, "Address over time"), el("div", { class: "legend" }, paints)),
      this.plane.root, el("div", { class: "plane-head" }, el("h2", {}, "Live bytes"), el("span", { class: "small muted" }, `the wheel zooms, with Shift the addresses; p goes to the peak${plan.left_out ? `; the smallest ${count(plan.left_out)} values are not drawn` : ""}`)),
      this.live.root, plan.certificate ? el("p", { class: "small muted" }, plan.certificate) : null, this.fit(plan.fit));
    this.plane.range(0, Math.max(plan.positions, 1), top);
    this.live.range(0, Math.max(plan.positions, 1), Math.max(...plan.live.bytes, 1) * 1.08);
    this.position = plan.peak.position;
    this.search();
    this.selected();
  }

  /** The table of what would fit. */
  fit(fit) {
    if (!fit) return el("p", { class: "small muted" }, "What would fit into less is shown where writer.memory(report, report.fit(\"64 MB\")) was called.");
    const row = (way) => el("tr", {}, el("td", {}, el("span", { class: `badge ${way.fits ? "good" : ""}` }, way.fits ? "fits" : "too large")),
      el("td", {}, el("strong", {}, way.name)), el("td", { class: "number" }, bytes(way.arena_bytes)), el("td", { class: "number" }, saved(way.arena_bytes, fit.arena_bytes)),
      el("td", { class: "number" }, bytes(way.total_bytes)), el("td", { class: "wrap" }, way.cost), el("td", { class: "wrap" }, way.code ? el("code", {}, way.code) : ""));
    return el("section", {}, el("div", { class: "plane-head" }, el("h2", {}, `What would fit into ${bytes(fit.budget_bytes)}`),
      el("span", { class: "small muted" }, fit.is_possible ? "cheapest first" : `nothing does; by itself the hungriest node needs ${bytes(fit.bound_bytes)}`)),
    el("div", { class: "table-box" }, el("table", { class: "data" }, el("thead", {}, el("tr", {}, ["", "way", "arena", "saves", "in all", "costs", "by"].map((name, place) => el("th", { class: [2, 3, 4].includes(place) ? "number" : "" }, name)))),
      el("tbody", {}, fit.ways.map(row)))),
    fit.in_use.length ? el("p", { class: "small muted" }, `In use already: ${fit.in_use.map((one) => `${one.name}${one.saved_bytes ? ` (saves ${bytes(one.saved_bytes)})` : ""}`).join(", ")}.`) : null,
    fit.notes.map((note) => el("p", { class: "small muted" }, note)));
  }

  // Drawing

  paint(place) {
    const { values } = this.plan;
    const share = (values.last[place] - values.first[place]) / Math.max(this.plan.positions, 1);
    return PAINTS.find(([most]) => share <= most)?.[1] ?? "blue";
  }

  draw(pen, plane) {
    if (!this.plan) return;
    const { values, peak } = this.plan;
    levels(pen, plane);
    plane.axis(pen, (at) => count(Math.round(at)));
    const chosen = this.context.selected();
    plane.clip(pen, () => {
      pen.lineWidth = 1;
      for (const place of this.order) {
        const [first, last] = [values.first[place], values.last[place]];
        if (last <= plane.from || first >= plane.to) continue;
        const [left, right] = [plane.x(first), plane.x(last)];
        const [top, bottom] = [plane.y(values.offset[place] + values.bytes[place]), plane.y(values.offset[place])];
        const isChosen = chosen && values.node[place] === chosen;
        const isFound = !this.found || this.found.has(place);
        pen.globalAlpha = isFound ? 1 : 0.15;
        const paint = this.paint(place);
        pen.fillStyle = plane.token(`--p-${paint}`);
        pen.strokeStyle = isChosen || plane.lit === place ? plane.token("--accent") : plane.token(`--l-${paint}`);
        pen.lineWidth = isChosen ? 3 : plane.lit === place ? 2 : Math.min(1, (bottom - top) / 3, (right - left) / 2);
        const [width, height] = [Math.max(right - left, 0.8), Math.max(bottom - top, 0.8)];
        pen.fillRect(left, top, width, height);
        if (pen.lineWidth > 0.3) pen.strokeRect(left + 0.5, top + 0.5, Math.max(width - 1, 0), Math.max(height - 1, 0));
        if (width > 60 && height > 14) {
          pen.fillStyle = plane.token("--ink");
          pen.textAlign = "left";
          const seen = Math.max(left, plane.margins.left);
          const letters = Math.floor((Math.min(right, plane.width) - seen - 8) / 6.5);
          if (letters > 5) pen.fillText(values.name[place].length > letters ? `…${values.name[place].slice(1 - letters)}` : values.name[place], seen + 5, (top + bottom) / 2);
        }
      }
      pen.globalAlpha = 1;
      marker(pen, plane, peak.position + 0.5, "--bad", "peak");
      if (this.position >= 0 && this.position !== peak.position) marker(pen, plane, this.position + 0.5, "--accent", "");
    });
  }

  drawLive(pen, plane) {
    if (!this.plan) return;
    const { live, peak, arena_bytes: arena } = this.plan;
    levels(pen, plane, 3);
    plane.clip(pen, () => {
      pen.beginPath();
      pen.moveTo(plane.x(0), plane.y(0));
      live.position.forEach((at, place) => {
        pen.lineTo(plane.x(at), plane.y(live.bytes[place]));
        pen.lineTo(plane.x(live.position[place + 1] ?? this.plan.positions), plane.y(live.bytes[place]));
      });
      pen.lineTo(plane.x(this.plan.positions), plane.y(0));
      pen.closePath();
      pen.fillStyle = plane.token("--accent-soft");
      pen.fill();
      pen.strokeStyle = plane.token("--accent");
      pen.lineWidth = 1.5;
      pen.stroke();
      if (arena <= plane.high) {
        pen.setLineDash([5, 4]);
        pen.strokeStyle = plane.token("--muted");
        pen.beginPath();
        pen.moveTo(plane.margins.left, plane.y(arena));
        pen.lineTo(plane.width, plane.y(arena));
        pen.stroke();
        pen.setLineDash([]);
      }
      marker(pen, plane, peak.position + 0.5, "--bad", "");
      if (this.position >= 0 && this.position !== peak.position) marker(pen, plane, this.position + 0.5, "--accent", "");
    });
  }

  // Pointing and choosing

  hit(time, y, plane) {
    const { values } = this.plan ?? { values: { name: [] } };
    const level = plane.level(y);
    const [slackTime, slackLevel] = [1.5 * (plane.to - plane.from) / plane.inner, 1.5 * (plane.high - plane.low) / plane.deep];
    let best = null;
    for (const place of this.order ?? []) {
      const [first, last, low] = [values.first[place], values.last[place], values.offset[place]];
      if (time < first - slackTime || time > last + slackTime || level < low - slackLevel || level > low + values.bytes[place] + slackLevel) continue;
      best = place;
      if (time >= first && time < last && level >= low && level < low + values.bytes[place]) return place;
    }
    return best;
  }

  told(place) {
    const { values } = this.plan;
    return [values.name[place], `${bytes(values.bytes[place])} at ${count(values.offset[place])} · ${values.kind[place]}`,
      `live in steps ${count(values.first[place])} to ${count(values.last[place] - 1)}`,
      values.made_at[place] ? `made at ${values.made_at[place]}` : "", values.last_read_at[place] ? `last read at ${values.last_read_at[place]}` : ""];
  }

  toldAt(at) {
    const { live, order, lines } = this.plan;
    let place = live.position.findIndex((one) => one > at) - 1;
    if (place < 0) place = live.position.length - 1;
    return [order[at] ?? `step ${at}`, `${bytes(live.bytes[place] ?? 0)} live`, lines[at] ? `at ${lines[at]}` : ""];
  }

  choose(place) {
    if (place === null) this.context.select("");
    else this.context.select(this.plan.values.node[place] || this.plan.values.name[place]);
  }

  /** Look at an instant. */
  at(position, isTold = false) {
    if (position === null || position < 0) return;
    this.position = position;
    this.plane.show(position, position + 1);
    this.follow(this.plane);
    this.live.draw();
    this.instant();
    if (isTold) this.context.announce(this.toldAt(position).join(", "));
  }

  /** What is live at the instant. */
  instant() {
    const { values, order, lines, peak } = this.plan;
    const at = this.position;
    const listed = this.order.filter((place) => values.first[place] <= at && at < values.last[place]).sort((a, b) => values.bytes[b] - values.bytes[a]);
    const total = listed.reduce((sum, place) => sum + values.bytes[place], 0);
    const isPeak = at === peak.position;
    refill(this.peak, el("section", {}, el("h3", {}, isPeak ? "Live at the peak" : `Live at step ${count(at)}`),
      el("div", {}, el("strong", {}, bytes(total)), ` in ${plural(listed.length, "value")}`, order[at] ? [" while ", el("button", { class: "link", onclick: () => this.context.select(order[at]) }, order[at]), " runs"] : null),
      lines[at] ? el("div", { class: "source-line" }, el("code", {}, lines[at])) : null,
      isPeak ? null : el("div", {}, el("button", { class: "tiny", onclick: () => this.at(peak.position) }, "Go to the peak")),
      el("ul", { class: "node-memory" }, listed.slice(0, 40).map((place) => el("li", {},
        el("div", { class: "plane-head" }, el("button", { class: "link", onclick: () => this.choose(place) }, values.name[place]), el("strong", {}, bytes(values.bytes[place]))),
        el("div", { class: "small muted" }, [values.made_at[place] && `made at ${values.made_at[place]}`, values.last_read_at[place] && `last read at ${values.last_read_at[place]}`].filter(Boolean).join(", ")),
        bar(values.bytes[place] / Math.max(total, 1))))),
      listed.length > 40 ? el("p", { class: "small muted" }, `${count(listed.length - 40)} smaller ones`) : null));
  }

  search() {
    this.find.removeAttribute("aria-invalid");
    this.found = null;
    if (this.find.value) {
      try {
        const wanted = new RegExp(this.find.value, "i");
        this.found = new Set(this.plan.values.name.flatMap((name, place) => (wanted.test(name.slice(0, 1000)) || wanted.test(this.plan.values.node[place].slice(0, 1000)) ? [place] : [])));
        this.context.announce(plural(this.found.size, "value"));
      } catch {
        this.find.setAttribute("aria-invalid", "true");
      }
    }
    this.plane.draw();
  }

  async selected() {
    const name = this.context.selected();
    if (this.plan) {
      const places = this.plan.values.node.flatMap((one, place) => (name && one === name ? [place] : []));
      if (places.length) this.plane.show(Math.min(...places.map((place) => this.plan.values.first[place])), Math.max(...places.map((place) => this.plan.values.last[place])));
      this.follow(this.plane);
      this.plane.draw();
      this.instant();
    }
    await this.card.show(name, () => null);
  }

  get planes() {
    return [this.plane, this.live];
  }
}

function saved(now, before) {
  return before ? `${now <= before ? "−" : "+"}${Math.abs(100 * (1 - now / before)).toFixed(1)} %` : "";
}

function levels(pen, plane, about = 5) {
  pen.fillStyle = plane.token("--muted");
  pen.strokeStyle = plane.token("--grid");
  pen.textAlign = "right";
  for (let row = 0; row <= about; row += 1) {
    const level = plane.low + ((plane.high - plane.low) * row) / about;
    const y = plane.y(level);
    pen.beginPath();
    pen.moveTo(plane.margins.left, y);
    pen.lineTo(plane.width - plane.margins.right, y);
    pen.stroke();
    pen.fillText(bytes(level), plane.margins.left - 8, Math.max(y, 8));
  }
}

function marker(pen, plane, time, color, text) {
  const x = plane.x(time);
  pen.strokeStyle = plane.token(color);
  pen.fillStyle = plane.token(color);
  pen.lineWidth = 1.5;
  pen.setLineDash([4, 3]);
  pen.beginPath();
  pen.moveTo(x, plane.margins.top);
  pen.lineTo(x, plane.height - plane.margins.bottom);
  pen.stroke();
  pen.setLineDash([]);
  if (text) {
    pen.textAlign = x > plane.width - 60 ? "right" : "left";
    pen.fillText(text, x + (pen.textAlign === "left" ? 5 : -5), plane.margins.top + 8);
  }
}
