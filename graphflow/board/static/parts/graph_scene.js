/** The drawing of a view of the graph: boxes and arrows as SVG, that can be moved, zoomed, hovered and chosen. */

import { refill, svg } from "./dom.js";
import { amount, markOf, marksTold, paintOf } from "./graph_colors.js";
import { Motion, middleOf } from "./graph_motion.js";
import { Taken } from "./graph_room.js";
import { count, plural } from "./format.js";

const MANY = 400; // elements from which on those out of sight are left out

export class Scene extends Motion {
  /** `on`: { choose(box), toggle(box), hover(box, event), moved() }. */
  constructor(root, on) {
    super(root);
    this.on = on;
    this.view = null;
    this.mode = "family";
    this.head = svg("marker", { id: "arrow-head", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 6, markerHeight: 6, orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" },
      svg("path", { d: "M0 .6 8 4 0 7.4z", class: "arrow-head" }));
    this.layers = { scopes: svg("g"), arrows: svg("g"), labels: svg("g", { class: "labels" }), boxes: svg("g"), far: svg("g") };
    this.group = svg("g", {}, Object.values(this.layers));
    this.svg = svg("svg", { class: "graph-scene", tabindex: "0", role: "application", aria_label: "Graph. Arrow keys go along edges, Enter opens a scope." },
      svg("defs", {}, this.head), this.group);
    root.append(this.svg);
    this.wire();
    this.watch = new ResizeObserver(() => this.resized());
    this.watch.observe(root);
  }

  close() {
    this.watch.disconnect();
    cancelAnimationFrame(this.frame);
  }

  // Drawing

  /** Draw a view. `keep` is the key of a box that stays where it is on the screen. */
  show(view, keep = "") {
    const before = keep && this.view ? this.box(keep) : null;
    const old = before ? { x: before.rect[0] + before.rect[2] / 2, y: before.rect[1] } : null;
    const isFirst = !this.view;
    this.view = view;
    this.index = new Map(view.boxes.map((box, place) => [box.key, place]));
    this.paths = [];
    this.items = [];
    const parts = { scopes: [], arrows: [], labels: [], boxes: [] };
    this.taken = new Taken();
    for (const box of view.boxes) this.taken.add(box.open ? [box.rect[0], box.rect[1], box.rect[2], 28] : box.rect);
    this.elements = view.boxes.map((box, place) => {
      const drawn = this.drawBox(box, place);
      (box.open ? parts.scopes : parts.boxes).push(drawn);
      this.keep([drawn], [[box.rect[0], box.rect[1]], [box.rect[0] + box.rect[2], box.rect[1] + box.rect[3]]]);
      return drawn;
    });
    view.arrows.forEach((arrow, place) => this.drawArrow(arrow, place, parts));
    this.chips(parts.boxes);
    for (const name of Object.keys(parts)) refill(this.layers[name], parts[name]);
    this.isCulled = this.items.length > MANY;
    refill(this.layers.far);
    this.paint();
    this.bounds();
    if (isFirst || !this.size.width) this.fit();
    else if (old && this.box(keep)) {
      const now = this.box(keep).rect;
      this.at.x += (old.x - now[0] - now[2] / 2) * this.at.scale;
      this.at.y += (old.y - now[1]) * this.at.scale;
      this.place();
    } else this.place();
  }

  box(key) {
    const place = this.index?.get(key);
    return place === undefined ? null : this.view.boxes[place];
  }

  bounds() {
    this.size = { width: 0, height: 0 };
    for (const { rect: [x, y, width, height] } of this.view.boxes) {
      this.size.width = Math.max(this.size.width, x + width);
      this.size.height = Math.max(this.size.height, y + height);
    }
  }

  drawBox(box, place) {
    const [x, y, width, height] = box.rect;
    const isScope = box.name === undefined;
    const words = this.words(box);
    const letters = Math.max(4, Math.floor((width - (isScope ? 30 : 14)) / 6.6));
    const weight = box.op === "variable" || box.op === "constant";
    const shown = [svg("rect", { width, height, rx: weight ? height / 2 : isScope ? 8 : 5 })];
    if (box.times) shown.unshift(svg("rect", { class: "behind", x: 4, y: 4, width, height, rx: 8 }));
    if (isScope) {
      const sign = svg("g", { class: "sign", transform: `translate(${box.open ? 15 : width - 15} ${box.open ? 15 : 15})` },
        svg("circle", { r: 7 }), svg("path", { d: box.open ? "M-3.5 0h7" : "M-3.5 0h7M0-3.5v7" }));
      sign.addEventListener("click", (event) => { event.stopPropagation(); this.on.toggle(box); });
      shown.push(sign, label(cut(box.title, letters), box.open ? 28 : 10, 19, "title start"));
      if (!box.open) shown.push(label(cut(words.line, letters + 3), 10, 36, "quiet start"), this.share(box));
      else shown.push(label(box.kind === "run" ? `× ${box.times}` : plural(box.nodes, "node"), width - 12, 19, "quiet end"));
    } else if (weight) {
      shown.push(label(cut(box.title, letters), width / 2, height / 2 + 4, "title small"));
    } else {
      shown.push(label(cut(box.op, letters), width / 2, 17, "title"),
        label(cut(words.line, letters + 2), width / 2, 32, "quiet"));
    }
    const made = svg("g", { class: `box ${isScope ? (box.open ? "scope-open" : "scope-closed") : weight ? "weight" : "node"}`,
      transform: `translate(${x} ${y})`, role: "button", tabindex: "-1", data_key: box.key, aria_label: words.name }, shown);
    made.addEventListener("click", (event) => { if (!this.dragged) { event.stopPropagation(); this.on.choose(box); } });
    made.addEventListener("dblclick", (event) => { event.stopPropagation(); event.preventDefault(); if (isScope) this.on.toggle(box); });
    made.addEventListener("pointerenter", (event) => { this.light(place, true); this.on.hover(box, event); });
    made.addEventListener("pointerleave", () => { this.light(place, false); this.on.hover(null); });
    return made;
  }

  /** How many of the marked nodes were removed, added and changed, as a thin bar. */
  share({ marks, rect: [, , width, height] }) {
    if (!marks) return null;
    const total = Object.values(marks).reduce((sum, one) => sum + one, 0);
    let left = 6;
    return Object.entries(marks).map(([mark, number]) => {
      const wide = ((width - 12) * number) / total;
      left += wide;
      return svg("rect", { class: `share share-${mark}`, x: left - wide, y: height - 6, width: Math.max(wide - 1, 1), height: 3, rx: 1.5 });
    });
  }

  words(box) {
    const told = amount(box, this.mode);
    if (box.name === undefined) {
      const size = box.kind === "run" ? `${count(box.times)} × ${plural(Math.round(box.nodes / box.times), "node")}` : plural(box.nodes, "node");
      const marks = marksTold(box);
      return { line: marks || (told ? `${size} · ${told}` : size), name: `${box.kind} ${box.title}, ${size}${box.open ? ", open" : ""}` };
    }
    const own = box.title === box.op ? box.type : box.title;
    return { line: told || own, name: `${box.op} ${box.name}, ${box.type}` };
  }

  drawArrow(arrow, place, parts) {
    if (!arrow.points.length) return;
    const d = curve(arrow.points);
    const target = arrow.to >= 0 && this.view.boxes[arrow.to];
    const ends = target && !target.open;
    const path = svg("path", { d, class: `arrow ${arrow.mark ? `arrow-${arrow.mark}` : ""}` });
    if (ends) path.setAttribute("marker-end", "url(#arrow-head)");
    path.style.strokeWidth = String(Math.min(1.2 + Math.log2(1 + arrow.count) * 0.35, 4.5));
    const hit = svg("path", { d, class: "arrow-hit" }, svg("title", {}, `${arrow.label} · ${plural(arrow.count, "edge")}${arrow.mark ? ` ${arrow.mark}` : ""}`));
    parts.arrows.push(path, hit);
    this.keep([path, hit], arrow.points);
    this.paths[place] = path;
    if (arrow.label && arrow.from >= 0 && arrow.to >= 0) this.label(cut(arrow.label, 30), arrow.points, parts.labels);
  }

  /** Remember where elements are, so that they need not be drawn when that is out of sight. */
  keep(elements, points) {
    const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
    this.items.push({ elements, isShown: true, left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) });
  }

  /** Take what is out of sight out of the drawing, and put back what has come into it. */
  cull() {
    const { x, y, scale } = this.at;
    const [left, top] = [(-x - 200) / scale, (-y - 200) / scale];
    const [right, bottom] = [(this.root.clientWidth - x + 200) / scale, (this.root.clientHeight - y + 200) / scale];
    for (const item of this.items) {
      const isShown = item.right >= left && item.left <= right && item.bottom >= top && item.top <= bottom;
      if (isShown === item.isShown) continue;
      item.isShown = isShown;
      for (const element of item.elements) element.style.display = isShown ? "" : "none";
    }
  }

  /** Write a label beside its arrow, where nothing is yet; nowhere if there is no room. */
  label(text, points, parts) {
    const wide = text.length * 5.6 + 4;
    for (const part of [0.5, 0.3, 0.7]) {
      const [x, y] = along(points, part);
      const spot = [x - wide / 2, y - 7, wide, 13];
      if (!this.taken.meets(spot)) {
        this.taken.add(spot);
        parts.push(label(text, x, y + 3, "edge-label"));
        this.keep([parts.at(-1)], [[spot[0], spot[1]], [spot[0] + wide, spot[1] + 13]]);
        return;
      }
    }
  }

  /** Small signs at boxes whose long edges are not drawn. */
  chips(parts) {
    const out = new Map();
    const into = new Map();
    for (const arrow of this.view.arrows) {
      if (arrow.points.length) continue;
      if (arrow.from >= 0) out.set(arrow.from, (out.get(arrow.from) ?? 0) + arrow.count);
      if (arrow.to >= 0) into.set(arrow.to, (into.get(arrow.to) ?? 0) + arrow.count);
    }
    const chip = (place, number, isOut) => {
      const [x, y, width, height] = this.view.boxes[place].rect;
      const text = isOut ? `${count(number)} ↓` : `↓ ${count(number)}`;
      const wide = 8 + text.length * 6;
      const left = isOut ? x + width - wide + 4 : x - 4;
      const made = svg("g", { class: "chip", transform: `translate(${left} ${isOut ? y + height - 6 : y - 8})` },
        svg("rect", { width: wide, height: 14, rx: 7 }), label(text, wide / 2, 10.5, "chip-text"),
        svg("title", {}, `${plural(number, "edge")} ${isOut ? "to" : "from"} far away: choose the box to see them`));
      made.addEventListener("click", (event) => { event.stopPropagation(); this.on.choose(this.view.boxes[place]); });
      parts.push(made);
      this.keep([made], [[left, y - 8], [left + wide, y + height + 8]]);
    };
    for (const [place, number] of into) chip(place, number, false);
    for (const [place, number] of out) chip(place, number, true);
  }

  /** Paint the boxes by the mode. */
  paint(mode = this.mode) {
    const isNew = mode !== this.mode;
    this.mode = mode;
    const { boxes, totals } = this.view;
    this.hasMarks = boxes.some((box) => box.marks);
    boxes.forEach((box, place) => {
      const element = this.elements[place];
      for (const name of [...element.classList]) if (name.startsWith("paint-")) element.classList.remove(name);
      element.classList.add(`paint-${box.open ? "open" : paintOf(box, mode, totals, this.hasMarks)}`);
      if (box.open && markOf(box)) element.classList.add("has-marks");
      if (isNew && !box.open) {
        const quiet = element.querySelector(".quiet");
        if (quiet) quiet.textContent = cut(this.words(box).line, Math.max(6, Math.floor(box.rect[2] / 6.6) - 1));
      }
    });
  }

  // Choosing

  /** Outline a box, and show its edges, the far ones too. */
  choose(key) {
    const place = this.index?.get(key) ?? -1;
    this.elements?.forEach((element, index) => element.classList.toggle("is-chosen", index === place));
    this.chosen = place;
    const far = [];
    this.view?.arrows.forEach((arrow, index) => {
      const isMine = place >= 0 && (arrow.from === place || arrow.to === place);
      this.paths[index]?.classList.toggle("is-near", isMine);
      if (isMine && !arrow.points.length) {
        const [from, to] = [arrow.from >= 0 ? arrow.from : arrow.far[0], arrow.to >= 0 ? arrow.to : arrow.far[1]];
        if (from >= 0 && to >= 0) far.push(this.farPath(from, to, arrow));
      }
    });
    refill(this.layers.far, far);
  }

  farPath(from, to, arrow) {
    const [a, b] = [this.view.boxes[from].rect, this.view.boxes[to].rect];
    const start = [a[0] + a[2] / 2, a[1] + a[3]];
    const end = [b[0] + b[2] / 2, b[1]];
    const bend = Math.max(60, Math.abs(end[0] - start[0]) / 3);
    return svg("path", { class: `far ${arrow.mark ? `arrow-${arrow.mark}` : ""}`, "marker-end": "url(#arrow-head)",
      d: `M${start} C${start[0] + bend} ${start[1] + 70} ${end[0] + bend} ${end[1] - 70} ${end}` });
  }

  light(place, isOn) {
    this.view.arrows.forEach((arrow, index) => {
      if (arrow.from === place || arrow.to === place) this.paths[index]?.classList.toggle("is-lit", isOn);
    });
  }

  /** Show only what a trace reached: counts by key, or null for all. */
  trace(counts) {
    this.svg.classList.toggle("is-tracing", Boolean(counts));
    if (!counts) return;
    this.view.boxes.forEach((box, place) => this.elements[place].classList.toggle("is-reached", box.key in counts));
    const reached = (place) => place < 0 || this.view.boxes[place].key in counts;
    this.view.arrows.forEach((arrow, place) => this.paths[place]?.classList.toggle("is-reached", reached(arrow.from) && reached(arrow.to)));
  }

  /** The box that the keyboard goes to from a box: "inputs", "outputs", "left" or "right". */
  beside(place, way) {
    const boxes = this.view.boxes;
    if (place < 0) return boxes.findIndex((box) => !box.open);
    const here = middleOf(boxes[place]);
    let candidates;
    if (way === "inputs" || way === "outputs") {
      candidates = this.view.arrows.flatMap((arrow) => {
        const from = arrow.from >= 0 ? arrow.from : arrow.far?.[0] ?? -1;
        const to = arrow.to >= 0 ? arrow.to : arrow.far?.[1] ?? -1;
        return way === "outputs" ? (from === place ? [to] : []) : (to === place ? [from] : []);
      });
    } else {
      candidates = boxes.flatMap((box, other) => {
        const there = middleOf(box);
        const isSide = way === "left" ? there[0] < here[0] : there[0] > here[0];
        return other !== place && isSide && box.parent === boxes[place].parent && Math.abs(there[1] - here[1]) < 40 ? [other] : [];
      });
    }
    let best = -1;
    let least = Infinity;
    for (const other of candidates) {
      if (other < 0 || other === place) continue;
      const there = middleOf(boxes[other]);
      const distance = Math.abs(there[0] - here[0]) + Math.abs(there[1] - here[1]);
      if (distance < least) [best, least] = [other, distance];
    }
    return best;
  }
}

function label(text, x, y, kind) {
  return svg("text", { x, y, class: kind }, text);
}

/** Text of at most so many letters, its middle left out. */
export function cut(text, letters) {
  const shown = [...String(text)];
  if (shown.length <= letters) return String(text);
  const half = Math.max(1, Math.floor((letters - 1) / 2));
  return `${shown.slice(0, letters - 1 - half).join("")}…${shown.slice(-half).join("")}`;
}

function curve(points) {
  let d = `M${points[0]}`;
  for (let place = 1; place < points.length; place += 1) {
    const [a, b] = [points[place - 1], points[place]];
    const y = (a[1] + b[1]) / 2;
    d += Math.abs(a[0] - b[0]) < 0.5 ? `L${b}` : `C${a[0]} ${y} ${b[0]} ${y} ${b}`;
  }
  return d;
}

/** The point at a part of the way through the points. */
function along(points, part) {
  const lengths = points.slice(1).map((point, place) => Math.hypot(point[0] - points[place][0], point[1] - points[place][1]));
  let left = part * lengths.reduce((sum, one) => sum + one, 0);
  for (let place = 0; place < lengths.length; place += 1) {
    if (left <= lengths[place]) {
      const share = lengths[place] ? left / lengths[place] : 0;
      const [a, b] = [points[place], points[place + 1]];
      return [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share];
    }
    left -= lengths[place];
  }
  return points.at(-1);
}
