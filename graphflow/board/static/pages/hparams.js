/** Settings of runs and how well each did: a table that sorts, and parallel coordinates that filter. */

import { choice } from "../parts/controls.js";
import { el, refill } from "../parts/dom.js";
import * as format from "../parts/format.js";
import { nothing } from "../parts/messages.js";
import { Parallel } from "../parts/parallel.js";

export const title = "Settings";
export const available = (info) => info.kinds.hparams.length > 0;

const MOST_ROWS = 1000;
const STATES = { succeeded: "good", failed: "bad", running: "warn" };

export async function mount(root, context) {
  const page = new SettingsPage(root, context);
  await page.load();
  return { update: () => page.load(), unmount: () => page.parallel.close() };
}

class SettingsPage {
  constructor(root, context) {
    Object.assign(this, { root, context, found: null });
    this.box = el("div", { class: "table-box", tabIndex: 0, role: "region", aria_label: "Settings of all runs" });
    this.plot = el("div", { class: "card parallel" });
    this.told = el("span", { class: "muted small", role: "status" });
    this.message = el("div", {});
    this.parallel = new Parallel(this.plot, context, () => this.table());
    this.best = choice("Value of a metric", [["last", "Last"], ["best", "Best"]], (value) => {
      context.state.set("of", value === "last" ? "" : value);
      this.draw();
    });
    this.best.set(this.of);
    refill(context.sidebar, this.best.element);
    refill(root, el("div", { class: "page-head" }, el("h1", {}, "Settings"), this.told), this.message, this.plot, this.box);
    context.runs.onChange(() => this.draw());
    context.onTheme(() => this.draw());
    context.state.onChange(() => { this.best.set(this.of); this.draw(); });
  }

  get of() {
    return this.context.state.get("of", "last");
  }

  async load() {
    const found = await this.context.api("hparams");
    const text = JSON.stringify(found);
    if (text === this.text) return;
    this.text = text;
    this.found = found;
    this.draw();
  }

  /** Columns: { key, name, of(row) } for settings and metrics. */
  columns() {
    return [
      ...this.found.columns.map((name) => ({ key: `v:${name}`, name, of: (row) => row.values[name] })),
      ...this.found.metrics.map((name) => ({ key: `m:${name}`, name, isMetric: true, of: (row) => {
        const metric = row.metrics[name];
        return metric === undefined ? undefined : Number(metric[this.of]);
      } })),
    ];
  }

  draw() {
    if (!this.found) return;
    const visible = new Set(this.context.runs.visible);
    this.rows = this.found.rows.filter((row) => visible.has(row.run));
    const columns = this.columns();
    const isEmpty = !this.rows.length;
    this.plot.hidden = isEmpty || columns.length < 2 || this.rows.length < 2;
    this.box.hidden = isEmpty;
    refill(this.message, isEmpty ? nothing("No settings", "The runs that are ticked have none.") : null);
    if (!this.plot.hidden) this.parallel.show(columns.filter((column) => this.rows.some((row) => column.of(row) !== undefined)), this.rows);
    this.table();
  }

  sorted() {
    const wanted = this.context.state.get("sort");
    const rows = this.rows.filter((row) => this.plot.hidden || this.parallel.keeps(row));
    if (!wanted) return rows;
    const isDown = wanted.startsWith("-");
    const column = this.columns().find((one) => one.key === wanted.replace(/^-/, ""));
    const of = column ? column.of : (row) => row.run;
    const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? (Number.isNaN(a) ? 1 : Number.isNaN(b) ? -1 : a - b) : String(a).localeCompare(String(b)));
    return [...rows].sort((a, b) => {
      const [x, y] = [of(a), of(b)];
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
      return isDown ? compare(y, x) : compare(x, y);
    });
  }

  table() {
    const columns = this.columns();
    const wanted = this.context.state.get("sort");
    const focused = document.activeElement?.dataset?.key;
    const head = (key, name, isNumber) => {
      const state = wanted === key ? "ascending" : wanted === `-${key}` ? "descending" : "none";
      return el("th", { scope: "col", class: isNumber ? "number" : null, aria_sort: state },
        el("button", { data_key: key, onclick: () => { this.context.state.set("sort", wanted === key ? `-${key}` : key); this.table(); } },
          name, state === "none" ? "" : state === "ascending" ? " ↑" : " ↓"));
    };
    const isNumber = (column) => this.rows.every((row) => [undefined, "number"].includes(typeof column.of(row)));
    const rows = this.sorted();
    this.told.textContent = `${rows.length} of ${format.plural(this.found.rows.length, "run")}`;
    refill(this.box, el("table", { class: "data" },
      el("thead", {}, el("tr", {}, head("run", "Run"), el("th", { scope: "col" }, "State"), columns.map((column) => head(column.key, column.name, isNumber(column))), el("th", { scope: "col", class: "number" }, "Took"))),
      el("tbody", {}, rows.slice(0, MOST_ROWS).map((row) => this.row(row, columns, isNumber)))));
    if (focused) this.box.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  row(row, columns, isNumber) {
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = this.context.runs.color(row.run);
    const light = (run) => () => this.parallel.light(run);
    return el("tr", { onpointerenter: light(row.run), onpointerleave: light(null) },
      el("th", { scope: "row", class: "row-name" }, el("span", { class: "name-cell" }, swatch, el("span", { class: "ellipsis", title: row.run }, row.run === "." ? "(top folder)" : row.run))),
      el("td", {}, el("span", { class: `badge ${STATES[row.status] ?? ""}` }, row.status)),
      columns.map((column) => el("td", { class: isNumber(column) ? "number" : null }, told(column.of(row)))),
      el("td", { class: "number" }, row.ended > row.started && row.started > 0 ? format.duration(row.ended - row.started) : ""));
  }
}

function told(value) {
  if (value === undefined) return el("span", { class: "muted" }, "–");
  return typeof value === "number" ? format.value(value) : String(value).slice(0, 200);
}
