/** Curves: a card for each tag, with the runs overlaid. */

import { inParts } from "../parts/api.js";
import { LineChart } from "../parts/chart.js";
import { numbers, prepared } from "../parts/curves.js";
import { el, icon, refill } from "../parts/dom.js";
import * as format from "../parts/format.js";
import { Gallery, restOf } from "../parts/gallery.js";
import { ICONS } from "../parts/icons.js";
import { check, segments, slider } from "../parts/controls.js";
import { chartSvg, fileName, saveText } from "../parts/save.js";

export const title = "Scalars";
export const available = (info) => info.kinds.scalars.length > 0;

const POINTS = 1000;

export async function mount(root, context) {
  const settings = new Settings(context);
  const gallery = new Gallery(root, context, {
    kind: "scalars", height: 280, width: 320, make: (item, owner) => new ScalarCard(item, owner, context, settings),
  });
  settings.changed = (isNew) => { for (const card of gallery.cards.values()) card.draw(isNew); };
  context.state.onChange(() => { settings.build(); settings.changed(true); });
  context.help([
    ["s", "step, relative or wall time", () => settings.nextAxis()],
    ["l", "logarithmic values", () => settings.toggle("log")],
    ["o", "ignore outliers", () => settings.toggle("robust")],
    ["drag", "zoom; double click or Escape ends it"],
    ["← →", "on a chart: read its values, with Shift in large steps"],
  ]);
  await gallery.load();
  return {
    update: (revision, changes) => gallery.update(changes),
    unmount: () => gallery.close(),
  };
}

/** What all charts share; kept in the address. */
class Settings {
  constructor(context) {
    this.context = context;
    this.changed = () => {};
    this.build();
  }

  get axis() { return this.context.state.get("x", "step"); }
  get weight() { return Math.max(0, Math.min(0.999, Number(this.context.state.get("smooth", "0.6")) || 0)); }
  get isLog() { return this.context.state.get("log") === "1"; }
  get isRobust() { return this.context.state.get("robust", "1") === "1"; }

  set(key, value, fallback) {
    this.context.state.set(key, value === fallback ? "" : value);
    this.build();
    this.changed(key === "smooth");
  }

  toggle(key) {
    if (key === "log") this.set("log", this.isLog ? "0" : "1", "0");
    else this.set("robust", this.isRobust ? "0" : "1", "1");
  }

  nextAxis() {
    const axes = ["step", "relative", "wall"];
    this.set("x", axes[(axes.indexOf(this.axis) + 1) % 3], "step");
  }

  build() {
    if (!this.controls) {
      this.smooth = slider("Smoothing", { min: 0, max: 0.99, step: 0.01, write: (at) => at.toFixed(2) }, (at) => {
        this.context.state.set("smooth", at === 0.6 ? "" : String(at));
        this.changed(true);
      });
      this.x = segments("Horizontal axis", [["step", "Step"], ["relative", "Relative"], ["wall", "Wall"]], (axis) => this.set("x", axis, "step"));
      this.log = check("Logarithmic values", () => this.toggle("log"));
      this.robust = check("Ignore outliers", () => this.toggle("robust"));
      this.controls = refill(this.context.sidebar, this.smooth.element, this.x.element, el("div", {}, this.log.element, this.robust.element));
    }
    this.smooth.set(this.weight);
    this.x.set(this.axis);
    this.log.set(this.isLog);
    this.robust.set(this.isRobust);
  }
}

class ScalarCard {
  constructor(item, gallery, context, settings) {
    Object.assign(this, { item, gallery, context, settings, curves: null });
    this.body = el("div", {});
    this.note = el("div", { class: "chart-note" }, "Loading…");
    this.chart = new LineChart(this.body, { label: `Curve ${item.tag}`, announce: context.announce });
    const tool = (drawing, label, act) =>
      el("button", { class: "quiet tiny square", title: label, aria_label: `${label}: ${item.tag}`, onclick: act }, icon(drawing));
    this.element = el("article", { class: "card", aria_label: item.tag },
      el("div", { class: "card-head" }, el("h3", { class: "card-title", title: item.tag }, restOf(item.tag)),
        tool(ICONS.download, "Save all points as CSV", () => this.saveCsv()),
        tool(ICONS.picture, "Save as SVG", () => this.saveSvg()), gallery.buttons(item)),
      el("div", { class: "card-body" }, this.body, this.note));
  }

  async refresh() {
    this.abort?.abort();
    const abort = new AbortController();
    this.abort = abort;
    const weight = this.settings.weight;
    const known = this.context.runs.visible;
    try {
      const found = {};
      for (const run of inParts(known)) {
        const smooth = weight > 0 ? weight : undefined;
        const params = { tag: this.item.tag, run, points: POINTS, smooth };
        Object.assign(found, (await this.gallery.loader.add(abort.signal, (signal) => this.context.api("scalars", params, { signal }))).curves);
      }
      this.isThinned = false;
      for (const curve of Object.values(found)) {
        curve.value = numbers(curve.value);
        curve.wall = numbers(curve.wall);
        // Smoothing needs every point: the server does it where this page has only some of them.
        if (curve.smooth) curve.smooth = numbers(curve.smooth);
        if (curve.count > curve.step.length) this.isThinned = true;
      }
      this.curves = found;
      this.draw(false);
    } catch (error) {
      if (error.name !== "AbortError") this.tell(error.message);
    }
  }

  tell(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  lines() {
    const { axis, weight } = this.settings;
    return this.context.runs.visible.filter((run) => this.curves[run]?.step.length).map((run) => {
      const curve = this.curves[run];
      const { x, y, smooth, order } = prepared(curve, axis, weight);
      const start = curve.wall.find(Number.isFinite);
      const cells = (place) => [format.count(curve.step[order[place]]), format.duration(curve.wall[order[place]] - start), format.time(curve.wall[order[place]])];
      return { name: run === "." ? "(top folder)" : run, color: this.context.runs.color(run), x, y, smooth, cells };
    });
  }

  options() {
    const { axis, weight, isLog, isRobust } = this.settings;
    const xLabel = axis === "step" ? (at) => format.count(Math.round(at)) : axis === "wall" ? format.time : format.duration;
    return { axis, isTime: axis === "wall", isLog, isRobust, isSmooth: weight > 0, columns: ["step", "after", "at"], xLabel };
  }

  draw(isNew) {
    if (!this.curves) return;
    if (isNew && this.isThinned) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.refresh(), 150);
    }
    const lines = this.lines();
    this.chart.show(lines, this.options());
    this.tell(lines.length ? "" : "No points in the runs that are ticked");
  }

  repaint() {
    this.draw(false);
  }

  saveCsv() {
    for (const run of inParts(this.context.runs.visible)) {
      const link = el("a", { href: this.context.url("scalars.csv", { tag: this.item.tag, run }), download: fileName(this.item.tag, "csv") });
      link.click();
    }
  }

  saveSvg() {
    if (this.curves) saveText(fileName(this.item.tag, "svg"), chartSvg(this.item.tag, this.lines(), this.options()), "image/svg+xml");
  }

  close() {
    this.abort?.abort();
    clearTimeout(this.timer);
    this.chart.close();
  }
}
