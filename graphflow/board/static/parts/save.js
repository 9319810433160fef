/** Files for the user: a chart as SVG, and whatever else is made in the page. */

import { ticks, valueRange } from "./curves.js";
import { svg } from "./dom.js";
import * as format from "./format.js";

/** Lets the browser save a text. */
export function saveText(name, text, type) {
  const place = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = place;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(place), 10_000);
}

/** A name for a file from a tag. */
export function fileName(tag, ending) {
  return `${tag.replace(/[^\w.-]+/g, "_").slice(0, 100) || "chart"}.${ending}`;
}

/** A chart as an SVG document: lines of { name, color, x, y, smooth }, options as for LineChart. */
export function chartSvg(title, lines, options) {
  const [width, height, left, top, bottom] = [800, 460, 72, 48, 44 + 18 * Math.ceil(lines.length / 3)];
  const right = width - 24;
  const base = height - bottom;
  const shown = (line) => (options.isSmooth ? line.smooth : line.y);
  const xs = lines.flatMap((line) => [line.x[0], line.x[line.x.length - 1]]).filter(Number.isFinite);
  let [low, high] = [Math.min(...xs), Math.max(...xs)];
  if (!(high > low)) [low, high] = [(low || 0) - 0.5, (low || 0) + 0.5];
  const [small, large] = valueRange(lines.map(shown), options.isRobust, options.isLog);
  const scale = options.isLog ? Math.log10 : (one) => one;
  const x = (at) => left + ((at - low) / (high - low)) * (right - left);
  const y = (at) => base - ((scale(at) - scale(small)) / (scale(large) - scale(small))) * (base - top);
  const clip = svg("clipPath", { id: "plot" }, svg("rect", { x: left, y: top, width: right - left, height: base - top }));
  const grid = svg("g", { stroke: "#e3e6eb", fill: "#59626f", "font-size": 12 });
  const marks = options.isLog ? ticks(Math.ceil(scale(small)), Math.floor(scale(large))).map((one) => 10 ** one) : ticks(small, large);
  for (const at of marks) {
    grid.append(svg("line", { x1: left, x2: right, y1: y(at), y2: y(at) }),
      svg("text", { x: left - 8, y: y(at) + 4, "text-anchor": "end", stroke: "none" }, format.value(at)));
  }
  for (const at of ticks(low, high, 7)) {
    grid.append(svg("line", { x1: x(at), x2: x(at), y1: top, y2: base }),
      svg("text", { x: x(at), y: base + 18, "text-anchor": "middle", stroke: "none" }, options.xLabel(at)));
  }
  const drawing = svg("g", { fill: "none", "stroke-linejoin": "round", "clip-path": "url(#plot)" });
  const path = (line, values) => {
    let isOn = false;
    return values.map((one, place) => {
      const isGood = Number.isFinite(one) && (!options.isLog || one > 0);
      const step = isGood ? `${isOn ? "L" : "M"}${x(line.x[place]).toFixed(2)} ${y(one).toFixed(2)}` : "";
      isOn = isGood;
      return step;
    }).join("");
  };
  const names = svg("g", { "font-size": 12, fill: "#1a1e26" });
  lines.forEach((line, place) => {
    if (options.isSmooth) drawing.append(svg("path", { d: path(line, line.y), stroke: line.color, "stroke-opacity": 0.3 }));
    drawing.append(svg("path", { d: path(line, shown(line)), stroke: line.color, "stroke-width": 1.75 }));
    const [at, row] = [left + (place % 3) * 236, base + 44 + 18 * Math.floor(place / 3)];
    names.append(svg("rect", { x: at, y: row - 9, width: 10, height: 10, rx: 3, fill: line.color }), svg("text", { x: at + 16, y: row }, line.name.slice(0, 32)));
  });
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "font-family": "system-ui, sans-serif" },
    svg("rect", { width, height, fill: "#ffffff" }), svg("defs", {}, clip),
    svg("text", { x: left, y: 28, "font-size": 16, "font-weight": 600, fill: "#1a1e26" }, title), grid, drawing, names);
  return new XMLSerializer().serializeToString(root);
}
