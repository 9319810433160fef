/** A line chart of several runs: crosshair with a table of values, zoom by dragging, live data; on uPlot. */

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { isFlat, nearest, valueRange } from "./curves.js";
import { el, refill } from "./dom.js";
import * as format from "./format.js";
import { token } from "./theme.js";

const MOST_ROWS = 14;
const FONT = "11px system-ui, sans-serif";

let tip = null;
/** The box beside the pointer; one for all charts. */
export function tipBox() {
  if (!tip) {
    tip = el("div", { class: "tip", hidden: true });
    document.body.append(tip);
    window.addEventListener("scroll", () => { tip.hidden = true; }, { capture: true, passive: true });
  }
  return tip;
}

/** Shows the box near a point of the window. */
export function placeTip(x, y) {
  const box = tipBox();
  box.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = box;
  const left = x + 16 + width > innerWidth - 8 ? x - 16 - width : x + 16;
  box.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
  box.style.top = `${Math.max(8, Math.min(y + 16, innerHeight - height - 8))}px`;
}

function named(name) {
  return name ? { label: name, labelSize: 16, labelGap: 0, labelFont: FONT } : {};
}

export class LineChart {
  /**
   * `label` names the chart; `describe(x)` writes a horizontal position; `onTip(line, place)` gives further
   * cells for the table, with their names in `columns`.
   */
  constructor(root, { label, announce }) {
    this.root = root;
    this.announce = announce;
    this.lines = [];
    root.classList.add("chart");
    root.tabIndex = 0;
    root.setAttribute("role", "img");
    root.setAttribute("aria-label", label);
    this.label = label;
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(root);
    root.addEventListener("keydown", (event) => this.pressed(event));
    root.addEventListener("blur", () => { tipBox().hidden = true; });
  }

  /**
   * `lines`: [{ name, color, x, y, smooth, cells(place) -> [texts] }], x ascending; `options`: isTime, isLog,
   * isRobust, isSmooth, columns (names of the cells), xLabel(x) -> text, xName, yName, xRange, yRange.
   */
  show(lines, options) {
    const shape = JSON.stringify([lines.map((line) => [line.name, line.color]), options.isTime, options.isLog, options.isSmooth, token("ink")]);
    const isSame = this.plot && shape === this.shape && options.axis === this.options.axis;
    Object.assign(this, { lines, options, shape });
    const data = this.data();
    this.root.setAttribute("aria-label", `${this.label}. ${this.summary()}`);
    if (isSame) this.plot.setData(data, !this.isZoomed);
    else this.build(data);
  }

  summary() {
    const told = this.lines.slice(0, 5).map((line) => {
      const last = line.y.length - 1;
      return last < 0 ? `${line.name}: empty` : `${line.name}: ${format.value(line.y[last])} at ${this.options.xLabel(line.x[last])}`;
    });
    return `${format.plural(this.lines.length, "line")}. ${told.join("; ")}. Arrow keys read values.`;
  }

  data() {
    const { isLog, isSmooth } = this.options;
    const drawn = (list) => list.map((one) => (Number.isFinite(one) && (!isLog || one > 0) ? one : null));
    if (!this.lines.length) return [[], []];
    const tables = this.lines.map((line) => (isSmooth ? [line.x, drawn(line.y), drawn(line.smooth)] : [line.x, drawn(line.y)]));
    const columns = isSmooth ? [1, 1, 1] : [1, 1];
    return tables.length === 1 ? tables[0] : uPlot.join(tables, tables.map(() => columns));
  }

  build(data) {
    this.plot?.destroy();
    this.isZoomed = false;
    const { isTime, isLog, isSmooth } = this.options;
    const few = this.lines.every((line) => line.x.length <= 1);
    const series = [{}];
    for (const line of this.lines) {
      if (isSmooth) series.push({ stroke: `${line.color}4d`, width: 1, points: { show: few } });
      series.push({ stroke: line.color, width: 1.75, points: { show: few, size: 6, fill: line.color } });
    }
    const axis = { stroke: token("muted"), font: FONT, grid: { stroke: token("grid"), width: 1 }, ticks: { show: false }, gap: 6 };
    this.plot = new uPlot({
      ...this.size(), padding: [8, 12, 0, 0], legend: { show: false },
      cursor: { points: { show: false }, drag: { x: true, y: true, uni: 24 }, y: false },
      scales: {
        x: { time: isTime, range: (plot, low, high) => this.xRange(low, high) },
        y: { distr: isLog ? 3 : 1, range: (plot, low, high) => this.yRange(low, high) },
      },
      axes: [
        { ...axis, ...named(this.options.xName), size: 28, space: 56, ...(isTime ? {} : { values: (plot, splits) => splits.map((one) => this.xTick(one)) }) },
        { ...axis, ...named(this.options.yName), size: 56, space: 32, values: (plot, splits) => splits.map((one) => (one === null ? "" : format.value(one, 4))) },
      ],
      series,
      hooks: {
        setCursor: [() => this.point()], draw: [(plot) => this.drawOdd(plot)],
        setSelect: [() => { this.isZoomed = true; }],
      },
    }, data, this.root);
    this.plot.over.addEventListener("mouseleave", () => { tipBox().hidden = true; });
    this.plot.over.addEventListener("dblclick", () => this.unzoom());
  }

  xTick(at) {
    return this.options.axis === "relative" ? format.duration(at) : Math.abs(at) >= 1e5 ? format.value(at, 4) : format.value(at, 6);
  }

  xRange(low, high) {
    if (this.options.xRange && !this.isZoomed) return this.options.xRange;
    if (low === null || high === null) return [0, 1];
    return isFlat(low, high) ? [low - 0.5, high + 0.5] : [low, high];
  }

  yRange(low, high) {
    if (this.isZoomed && low !== null && !isFlat(low, high)) return [low, high];
    if (this.options.yRange) return this.options.yRange;
    const { isSmooth, isRobust, isLog } = this.options;
    return valueRange(this.lines.flatMap((line) => (isSmooth ? [line.smooth, ...(isRobust ? [] : [line.y])] : [line.y])), isRobust, isLog);
  }

  unzoom() {
    this.isZoomed = false;
    this.plot?.setData(this.data(), true);
  }

  size() {
    return { width: Math.max(60, this.root.clientWidth), height: Math.max(60, this.root.clientHeight) };
  }

  resize() {
    if (this.plot && this.root.clientWidth) this.plot.setSize(this.size());
  }

  /** A triangle at the edge for each NaN and infinity. */
  drawOdd(plot) {
    const { ctx, bbox } = plot;
    const size = 4 * devicePixelRatio;
    ctx.save();
    for (const line of this.lines) {
      ctx.fillStyle = line.color;
      line.y.forEach((one, place) => {
        if (Number.isFinite(one)) return;
        const x = plot.valToPos(line.x[place], "x", true);
        if (x < bbox.left || x > bbox.left + bbox.width) return;
        const isTop = one === Infinity;
        const y = isTop ? bbox.top : bbox.top + bbox.height;
        ctx.beginPath();
        ctx.moveTo(x, y + (isTop ? 0 : -2 * size));
        ctx.lineTo(x - size, y + (isTop ? 2 * size : 0));
        ctx.lineTo(x + size, y + (isTop ? 2 * size : 0));
        ctx.fill();
      });
    }
    ctx.restore();
  }

  point() {
    const { left, top } = this.plot.cursor;
    if (left === undefined || left < 0 || !this.lines.length) {
      tipBox().hidden = true;
      return;
    }
    this.tell(this.plot.posToVal(left, "x"), this.plot.posToVal(top, "y"));
    const box = this.plot.over.getBoundingClientRect();
    placeTip(box.left + left, box.top + top);
  }

  /** Fills the box with the values at a horizontal position; the rows nearest in height first if many. */
  tell(x, y) {
    const rows = this.lines.map((line) => ({ line, place: nearest(line.x, x) })).filter(({ place }) => place >= 0);
    const shown = ({ line, place }) => (this.options.isSmooth ? line.smooth : line.y)[place];
    let near = rows[0];
    for (const row of rows) if (Math.abs(shown(row) - y) < Math.abs(shown(near) - y)) near = row;
    rows.sort((a, b) => (shown(b) || 0) - (shown(a) || 0));
    const begin = Math.max(0, Math.min(rows.indexOf(near) - (MOST_ROWS >> 1), rows.length - MOST_ROWS));
    const cut = rows.slice(begin, begin + MOST_ROWS);
    const swatch = (color) => {
      const made = el("span", { class: "swatch" });
      made.style.background = color;
      return made;
    };
    const heads = ["", ...(this.options.isSmooth ? ["smoothed"] : []), "value", ...this.options.columns];
    refill(tipBox(), el("table", {}, el("tr", {}, heads.map((one) => el("th", {}, one))), cut.map((row) => {
      const { line, place } = row;
      return el("tr", { class: row === near && rows.length > 1 ? "near" : null },
        el("td", {}, swatch(line.color), el("span", { class: "ellipsis" }, line.name)),
        this.options.isSmooth ? el("td", {}, format.value(line.smooth[place])) : null,
        el("td", {}, format.value(line.y[place], 5)), line.cells(place).map((cell) => el("td", {}, cell)));
    })), rows.length > cut.length ? el("div", { class: "more" }, `and ${rows.length - cut.length} more`) : null);
    return near && `${near.line.name}: ${format.value(near.line.y[near.place], 5)} at ${this.options.xLabel(near.line.x[near.place])}`;
  }

  /** Arrow keys move the crosshair from point to point of the longest line; Escape ends the zoom. */
  pressed(event) {
    if (event.key === "Escape" && this.isZoomed) this.unzoom();
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !this.plot || !this.lines.length) return;
    event.preventDefault();
    const { x, y } = this.lines.reduce((long, line) => (line.x.length > long.x.length ? line : long));
    const stride = event.shiftKey ? Math.max(1, Math.round(x.length / 20)) : 1;
    const from = this.at === undefined ? (by > 0 ? -1 : x.length) : this.at;
    this.at = Math.max(0, Math.min(x.length - 1, from + by * stride));
    const top = this.plot.valToPos(Number.isFinite(y[this.at]) ? y[this.at] : 0, "y");
    this.plot.setCursor({ left: this.plot.valToPos(x[this.at], "x"), top: Number.isFinite(top) ? top : 0 });
    this.announce(this.tell(x[this.at], y[this.at]) ?? "");
  }

  close() {
    this.watch.disconnect();
    this.plot?.destroy();
    this.plot = null;
    tipBox().hidden = true;
  }
}
