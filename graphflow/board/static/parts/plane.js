/** A canvas with time to the right: zoomed by the wheel, moved by dragging, read by pointing and by the keyboard. */

import { el } from "./dom.js";

const MARGINS = { left: 64, right: 14, top: 10, bottom: 28 };

export class Plane {
  /**
   * `draw(pen, plane)` draws between x(start) and x(end), where `plane.from` and `plane.to` are in sight;
   * `hit(time, y, x)` gives what is there, or null; `told(hit)` gives the lines of its tip; `choose(hit)`.
   * `isVertical` lets Shift and the wheel zoom the other axis, of which `low` and `high` are in sight.
   */
  constructor(name, height, options) {
    Object.assign(this, { options, start: 0, end: 1, from: 0, to: 1, low: 0, high: 1, top: 1, margins: { ...MARGINS, ...options.margins } });
    this.canvas = el("canvas", { tabindex: "0", role: "img", aria_label: name });
    this.tip = el("div", { class: "tip", hidden: true });
    this.root = el("div", { class: "plane" }, this.canvas, this.tip);
    this.root.style.height = `${height}px`;
    this.wire();
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(this.root);
  }

  close() {
    this.watch.disconnect();
    cancelAnimationFrame(this.frame);
  }

  /** What there is in all: times from `start` to `end`, heights up to `top`. */
  range(start, end, top = 1) {
    Object.assign(this, { start, end: Math.max(end, start + 1e-12), top, low: 0, high: top });
    [this.from, this.to] = [this.start, this.end];
    this.draw();
  }

  get width() { return this.root.clientWidth; }
  get height() { return this.root.clientHeight; }
  get inner() { return this.width - this.margins.left - this.margins.right; }
  get deep() { return this.height - this.margins.top - this.margins.bottom; }

  x(time) { return this.margins.left + ((time - this.from) / (this.to - this.from)) * this.inner; }
  y(height) { return this.margins.top + this.deep * (1 - (height - this.low) / (this.high - this.low)); }
  time(x) { return this.from + ((x - this.margins.left) / this.inner) * (this.to - this.from); }
  level(y) { return this.low + (1 - (y - this.margins.top) / this.deep) * (this.high - this.low); }

  token(name) { return this.style.getPropertyValue(name).trim(); }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      const { width, height, canvas } = this;
      if (!width || !height) return;
      const ratio = window.devicePixelRatio || 1;
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
      const pen = canvas.getContext("2d");
      this.style = getComputedStyle(document.documentElement);
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, width, height);
      pen.font = "11px system-ui, sans-serif";
      pen.textBaseline = "middle";
      this.options.draw(pen, this);
    });
  }

  /** Keep what follows within the axes. */
  clip(pen, act) {
    pen.save();
    pen.beginPath();
    pen.rect(this.margins.left, this.margins.top, this.inner, this.deep);
    pen.clip();
    act();
    pen.restore();
  }

  /** The axis of time, with `show(time)` as labels. */
  axis(pen, show) {
    pen.fillStyle = this.token("--muted");
    pen.strokeStyle = this.token("--grid");
    pen.lineWidth = 1;
    pen.textAlign = "center";
    for (const at of steps(this.from, this.to, Math.max(2, Math.floor(this.inner / 110)))) {
      const x = this.x(at);
      pen.beginPath();
      pen.moveTo(x, this.margins.top);
      pen.lineTo(x, this.height - this.margins.bottom + 4);
      pen.stroke();
      pen.fillText(show(at), x, this.height - this.margins.bottom / 2 + 2);
    }
  }

  zoom(factor, at = (this.from + this.to) / 2) {
    const least = (this.end - this.start) * (this.options.finest ?? 1e-6);
    const span = Math.min(Math.max((this.to - this.from) * factor, least), this.end - this.start);
    const share = (at - this.from) / (this.to - this.from);
    this.shift(at - share * span, span);
  }

  shift(from, span = this.to - this.from) {
    this.from = Math.min(Math.max(from, this.start), this.end - span);
    this.to = this.from + span;
    this.draw();
    this.options.moved?.(this);
  }

  zoomLevel(factor, at) {
    const span = Math.min(Math.max((this.high - this.low) * factor, this.top / 1000), this.top);
    const share = (at - this.low) / (this.high - this.low);
    this.low = Math.min(Math.max(at - share * span, 0), this.top - span);
    this.high = this.low + span;
    this.draw();
  }

  all() {
    this.range(this.start, this.end, this.top);
    this.options.moved?.(this);
  }

  /** Show a stretch with something around it. */
  show(from, to) {
    const span = Math.min(Math.max((to - from) * 3, (this.end - this.start) / 50), this.end - this.start);
    if (from < this.from || to > this.to || to - from < (this.to - this.from) / 400) this.shift((from + to) / 2 - span / 2, span);
    else this.draw();
  }

  wire() {
    const place = (event) => {
      const frame = this.canvas.getBoundingClientRect();
      return [event.clientX - frame.left, event.clientY - frame.top];
    };
    let last = null;
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey && Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        this.shift(this.from + (event.deltaX / this.inner) * (this.to - this.from));
        return;
      }
      event.preventDefault();
      const [x, y] = place(event);
      const factor = Math.exp((event.deltaY || event.deltaX) * (event.deltaMode === 1 ? 16 : 1) * 0.0016);
      if (event.shiftKey && this.options.isVertical) this.zoomLevel(factor, this.level(y));
      else this.zoom(factor, this.time(x));
    }, { passive: false });
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      last = place(event);
      this.dragged = false;
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const [x, y] = place(event);
      if (last) {
        if (!this.dragged && Math.hypot(x - last[0], y - last[1]) < 4) return;
        this.dragged = true;
        this.tip.hidden = true;
        const levels = ((y - last[1]) / this.deep) * (this.high - this.low);
        if (this.options.isVertical && this.high - this.low < this.top) {
          const span = this.high - this.low;
          this.low = Math.min(Math.max(this.low + levels, 0), this.top - span);
          this.high = this.low + span;
        }
        this.shift(this.from - ((x - last[0]) / this.inner) * (this.to - this.from));
        last = [x, y];
        return;
      }
      this.point(x, y, event);
    });
    this.canvas.addEventListener("pointerup", (event) => {
      const [x, y] = place(event);
      if (last && !this.dragged) this.options.choose?.(this.at(x, y));
      last = null;
    });
    this.canvas.addEventListener("pointercancel", () => { last = null; });
    this.canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; if (this.lit) { this.lit = null; this.draw(); } });
    this.canvas.addEventListener("dblclick", () => this.all());
  }

  at(x, y) {
    if (x < this.margins.left || x > this.width - this.margins.right) return null;
    return this.options.hit(this.time(x), y, this);
  }

  point(x, y, event) {
    const found = this.at(x, y);
    if (JSON.stringify(found) !== JSON.stringify(this.lit)) { this.lit = found; this.draw(); }
    this.tip.hidden = found === null;
    if (found === null) return;
    this.tip.replaceChildren(...this.options.told(found).filter(Boolean).map((line, row) => el(row ? "div" : "strong", {}, line)));
    const [width, height] = [this.tip.offsetWidth, this.tip.offsetHeight];
    this.tip.style.left = `${Math.max(8, Math.min(event.clientX + 14, window.innerWidth - width - 8))}px`;
    this.tip.style.top = `${event.clientY + 18 + height > window.innerHeight ? event.clientY - height - 10 : event.clientY + 18}px`;
  }

  /** Keys of a page that has this plane. */
  keys() {
    const step = (part) => this.shift(this.from + part * (this.to - this.from));
    return [
      ["+ =", "zoom in", () => this.zoom(0.6)],
      ["-", "zoom out", () => this.zoom(1 / 0.6)],
      ["0", "show all", () => this.all()],
      ["ArrowLeft ArrowRight", "move", (event) => step(event.key === "ArrowLeft" ? -0.15 : 0.15)],
    ];
  }
}

/** Round numbers between two. */
export function steps(from, to, about) {
  const rough = (to - from) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push(Math.abs(at) < step / 1e6 ? 0 : at);
  return found;
}
