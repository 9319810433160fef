/** Parallel coordinates: a line for each run through an axis for each setting; a drag on an axis filters. */

import { ticks } from "./curves.js";
import { refill, svg } from "./dom.js";
import * as format from "./format.js";

const [TOP, BOTTOM, SIDE] = [48, 24, 64];
const MOST_AXES = 12;

export class Parallel {
  constructor(root, context, filtered) {
    Object.assign(this, { root, context, filtered, ranges: new Map(), columns: [], rows: [] });
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(root);
  }

  show(columns, rows) {
    // The metrics, which stand last, are what one looks for.
    this.columns = columns.length > MOST_AXES ? columns.slice(-MOST_AXES) : columns;
    this.rows = rows;
    for (const key of this.ranges.keys()) if (!this.columns.some((one) => one.key === key)) this.ranges.delete(key);
    this.draw();
  }

  /** Whether a run lies in all ranges that were dragged. */
  keeps(row) {
    return this.columns.every((column) => {
      const range = this.ranges.get(column.key);
      const at = range && column.scale?.(column.of(row));
      return !range || (Number.isFinite(at) && at >= range[0] && at <= range[1]);
    });
  }

  /** Positions in [0, 1], 0 below: linear, logarithmic over more than two decades, or by name. */
  scaleOf(column) {
    const values = this.rows.map(column.of).filter((one) => one !== undefined);
    if (values.every((one) => typeof one === "number")) {
      const finite = values.filter(Number.isFinite);
      const [low, high] = [Math.min(...finite), Math.max(...finite)];
      const isLog = low > 0 && high / low > 100;
      const of = isLog ? Math.log10 : (one) => one;
      const span = of(high) - of(low);
      column.scale = (one) => (typeof one !== "number" || !Number.isFinite(one) ? NaN : span > 0 ? (of(one) - of(low)) / span : 0.5);
      const marks = span > 0 ? ticks(of(low), of(high), 4).map((one) => (isLog ? 10 ** one : one)) : [low];
      column.marks = marks.filter(Number.isFinite).map((one) => [column.scale(one), format.value(one, 3)]);
    } else {
      const names = [...new Set(values.map(String))].sort().slice(0, 30);
      column.scale = (one) => (names.includes(String(one)) ? (names.length > 1 ? names.indexOf(String(one)) / (names.length - 1) : 0.5) : NaN);
      column.marks = names.map((one) => [column.scale(one), one.slice(0, 16)]);
    }
  }

  draw() {
    if (!this.columns.length || this.root.hidden || !this.root.clientWidth) return;
    const width = Math.max(this.root.clientWidth, this.columns.length * 112);
    const height = this.root.clientHeight;
    const x = (at) => SIDE + (this.columns.length > 1 ? (at * (width - 2 * SIDE)) / (this.columns.length - 1) : 0);
    const y = (at) => height - BOTTOM - at * (height - TOP - BOTTOM);
    this.columns.forEach((column) => this.scaleOf(column));
    const drawing = svg("svg", { width, height, role: "img", aria_label: `Parallel coordinates of ${this.columns.map((one) => one.name).join(", ")}; the table below has the same` });
    this.lines = new Map();
    for (const row of this.rows) {
      let [path, isOn] = ["", false];
      this.columns.forEach((column, place) => {
        const at = column.scale(column.of(row));
        if (Number.isFinite(at)) path += `${isOn ? "L" : "M"}${x(place).toFixed(1)} ${y(at).toFixed(1)}`;
        isOn = Number.isFinite(at);
      });
      const line = svg("path", { d: path, fill: "none", stroke: this.context.runs.color(row.run), "stroke-width": 1.5, "stroke-opacity": this.keeps(row) ? 0.8 : 0.08 });
      this.lines.set(row.run, line);
      drawing.append(line);
    }
    this.columns.forEach((column, place) => drawing.append(this.axis(column, x(place), y, place)));
    refill(this.root, drawing);
  }

  axis(column, x, y, place) {
    const name = column.name.length > 18 ? `${column.name.slice(0, 17)}…` : column.name;
    const group = svg("g", { class: `axis${column.isMetric ? " metric" : ""}` }, svg("line", { x1: x, x2: x, y1: y(0), y2: y(1) }),
      svg("text", { x, y: place % 2 && this.columns.length > 6 ? 16 : 30, class: "axis-name" }, name, svg("title", {}, column.name)),
      column.marks.map(([at, text]) => svg("text", { x: x + 6, y: y(at) + 4, class: "axis-mark" }, text)));
    const range = this.ranges.get(column.key);
    if (range) group.append(svg("rect", { x: x - 6, width: 12, y: y(range[1]), height: Math.max(2, y(range[0]) - y(range[1])), class: "axis-range" }));
    const handle = svg("rect", { x: x - 12, width: 24, y: y(1) - 4, height: y(0) - y(1) + 8, class: "axis-handle" });
    const at = (event) => (y(0) - (event.clientY - this.root.getBoundingClientRect().top)) / (y(0) - y(1));
    handle.addEventListener("pointerdown", (event) => {
      const start = at(event);
      let range_ = null;
      const moved = (move) => {
        range_ = [Math.min(start, at(move)), Math.max(start, at(move))];
      };
      const ended = () => {
        window.removeEventListener("pointermove", moved);
        if (range_ && range_[1] - range_[0] > 0.02) this.ranges.set(column.key, range_);
        else this.ranges.delete(column.key);
        this.draw();
        this.filtered();
      };
      window.addEventListener("pointermove", moved);
      window.addEventListener("pointerup", ended, { once: true });
      event.preventDefault();
    });
    group.append(handle);
    return group;
  }

  /** Brings out the line of a run; null ends that. */
  light(run) {
    for (const [name, line] of this.lines ?? []) line.setAttribute("stroke-width", name === run ? 4 : 1.5);
  }

  close() {
    this.watch.disconnect();
  }
}
