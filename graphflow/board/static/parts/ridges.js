/** Histograms over time on a canvas: as ridges one behind another, overlaid, or as bands of percentiles. */

import { ticks } from "./curves.js";
import * as format from "./format.js";
import { token } from "./theme.js";

const BINS = 80;
const BANDS = [[0, 100], [6.7, 93.3], [15.9, 84.1], [30.9, 69.1]];
const FONT = "11px system-ui, sans-serif";

/** Every histogram on the same bins: { low, high, rows: [{ step, wall, heights }] }. */
export function rebinned(histograms) {
  let [low, high] = [Infinity, -Infinity];
  for (const { left, right, counts } of histograms) {
    counts.forEach((count, place) => {
      if (!(count > 0)) return;
      low = Math.min(low, left[place]);
      high = Math.max(high, right[place]);
    });
  }
  if (!(high > low)) [low, high] = Number.isFinite(low) ? [low - 0.5, low + 0.5] : [0, 1];
  const width = (high - low) / BINS;
  const rows = histograms.map(({ step, wall, left, right, counts }) => {
    const heights = new Float64Array(BINS);
    counts.forEach((count, place) => {
      if (!(count > 0)) return;
      const size = right[place] - left[place];
      const first = Math.max(0, Math.min(BINS - 1, Math.floor((left[place] - low) / width)));
      const last = Math.max(first, Math.min(BINS - 1, Math.ceil((right[place] - low) / width) - 1));
      for (let bin = first; bin <= last; bin += 1) {
        const share = Math.min(right[place], low + (bin + 1) * width) - Math.max(left[place], low + bin * width);
        heights[bin] += size > 0 ? (count * Math.max(0, share)) / size : count / (last - first + 1);
      }
    });
    return { step, wall, heights };
  });
  return { low, high, rows };
}

/** The value below which a share of a histogram lies. */
export function percentile({ left, right, counts }, percent) {
  const total = counts.reduce((sum, one) => sum + one, 0);
  let rest = (total * percent) / 100;
  let [first, last] = [counts.findIndex((one) => one > 0), counts.findLastIndex((one) => one > 0)];
  if (first < 0) return NaN;
  for (let place = first; place <= last; place += 1) {
    if (rest <= counts[place]) return left[place] + (counts[place] ? rest / counts[place] : 0) * (right[place] - left[place]);
    rest -= counts[place];
  }
  return right[last];
}

/** Draws into a canvas; returns find(x, y) -> { row } or null for the pointer. */
export function drawHistograms(canvas, histograms, { mode, color, lit = -1 }) {
  const box = canvas.getBoundingClientRect();
  const ratio = devicePixelRatio;
  canvas.width = Math.max(1, Math.round(box.width * ratio));
  canvas.height = Math.max(1, Math.round(box.height * ratio));
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.clearRect(0, 0, box.width, box.height);
  pen.font = FONT;
  if (!histograms.length) return () => null;
  return (mode === "bands" ? bands : mode === "overlay" ? overlay : ridges)(pen, box, histograms, color, lit);
}

function axisX(pen, low, high, left, right, base, write = (at) => format.value(at, 3)) {
  pen.fillStyle = token("muted");
  pen.textAlign = "center";
  pen.textBaseline = "top";
  for (const at of ticks(low, high, Math.max(2, Math.floor((right - left) / 72)))) {
    const x = left + ((at - low) / (high - low)) * (right - left);
    pen.fillText(write(at), x, base + 8);
    pen.strokeStyle = token("grid");
    pen.beginPath();
    pen.moveTo(x, 8);
    pen.lineTo(x, base);
    pen.stroke();
  }
}

function shapes(rows, x, heightOf) {
  return rows.map(({ heights }, place) => {
    const path = new Path2D();
    heights.forEach((count, bin) => {
      const [px, py] = [x(bin + 0.5), heightOf(count, place)];
      if (bin) path.lineTo(px, py);
      else path.moveTo(px, py);
    });
    return path;
  });
}

function ridges(pen, box, histograms, color, lit) {
  const { low, high, rows } = rebinned(histograms);
  const [left, right, base] = [8, box.width - 44, box.height - 28];
  const most = Math.max(...rows.map((row) => row.heights.reduce((a, b) => Math.max(a, b), 0))) || 1;
  const rise = Math.min(box.height * 0.34, 110);
  const first = rise + 8;
  const place = (at) => (rows.length > 1 ? first + ((base - first) * at) / (rows.length - 1) : base);
  const x = (bin) => left + (bin / BINS) * (right - left);
  axisX(pen, low, high, left, right, base);
  const paths = shapes(rows, x, (count, at) => place(at) - (count / most) * rise);
  paths.forEach((path, at) => {
    const age = rows.length > 1 ? at / (rows.length - 1) : 1;
    const filled = new Path2D(path);
    filled.lineTo(x(BINS - 0.5), place(at));
    filled.lineTo(x(0.5), place(at));
    pen.globalAlpha = 0.94;
    pen.fillStyle = mix(token("surface"), color, 0.12 + 0.5 * age);
    pen.fill(filled);
    pen.globalAlpha = 1;
    pen.strokeStyle = at === lit ? token("ink") : mix(token("surface"), color, 0.55 + 0.45 * age);
    pen.lineWidth = at === lit ? 2 : 1;
    pen.stroke(path);
  });
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  const stride = Math.max(1, Math.ceil((rows.length * 16) / Math.max(16, base - first)));
  for (let at = rows.length - 1; at >= 0; at -= stride) {
    pen.fillStyle = token("muted");
    pen.fillText(short(rows[at].step), right + 6, place(at));
  }
  return (px, py) => {
    let found = -1;
    for (let at = rows.length - 1; at >= 0 && found < 0; at -= 1) {
      const bin = Math.max(0, Math.min(BINS - 1, Math.floor(((px - left) / (right - left)) * BINS)));
      if (py >= place(at) - (rows[at].heights[bin] / most) * rise - 2 && py <= place(at) + 4) found = at;
    }
    return found < 0 ? null : at(rows, found, px, left, right, low, high);
  };
}

function overlay(pen, box, histograms, color, lit) {
  const { low, high, rows } = rebinned(histograms);
  const [left, right, top, base] = [8, box.width - 8, 12, box.height - 28];
  const most = Math.max(...rows.map((row) => row.heights.reduce((a, b) => Math.max(a, b), 0))) || 1;
  const x = (bin) => left + (bin / BINS) * (right - left);
  axisX(pen, low, high, left, right, base);
  shapes(rows, x, (count) => base - (count / most) * (base - top)).forEach((path, at) => {
    const age = rows.length > 1 ? at / (rows.length - 1) : 1;
    pen.strokeStyle = at === lit ? token("ink") : mix(token("surface"), color, 0.2 + 0.8 * age);
    pen.lineWidth = at === lit ? 2.5 : 1.25;
    pen.stroke(path);
  });
  return (px, py) => {
    const bin = Math.max(0, Math.min(BINS - 1, Math.floor(((px - left) / (right - left)) * BINS)));
    let [near, gap] = [-1, 14];
    rows.forEach((row, place) => {
      const away = Math.abs(base - (row.heights[bin] / most) * (base - top) - py);
      if (away < gap) [near, gap] = [place, away];
    });
    return near < 0 ? null : at(rows, near, px, left, right, low, high);
  };
}

function at(rows, place, px, left, right, low, high) {
  const share = Math.max(0, Math.min(0.9999, (px - left) / (right - left)));
  const bin = Math.floor(share * BINS);
  const width = (high - low) / BINS;
  return { place, from: low + bin * width, to: low + (bin + 1) * width, count: rows[place].heights[bin] };
}

function bands(pen, box, histograms, color, lit) {
  const told = histograms.filter((one) => one.counts.some((count) => count > 0));
  if (!told.length) return () => null;
  const [left, right, top, base] = [56, box.width - 12, 12, box.height - 28];
  const edges = BANDS.map(([a, b]) => told.map((one) => [percentile(one, a), percentile(one, b)]));
  let [low, high] = [Math.min(...edges[0].map((one) => one[0])), Math.max(...edges[0].map((one) => one[1]))];
  if (!(high > low)) [low, high] = [low - 0.5, low + 0.5];
  const [first, last] = [told[0].step, told[told.length - 1].step > told[0].step ? told[told.length - 1].step : told[0].step + 1];
  const x = (step) => left + ((step - first) / (last - first)) * (right - left);
  const y = (value) => base - ((value - low) / (high - low)) * (base - top);
  axisX(pen, first, last, left, right, base, short);
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const mark of ticks(low, high, 5)) {
    pen.fillStyle = token("muted");
    pen.fillText(format.value(mark, 3), left - 8, y(mark));
    pen.strokeStyle = token("grid");
    pen.beginPath();
    pen.moveTo(left, y(mark));
    pen.lineTo(right, y(mark));
    pen.stroke();
  }
  edges.forEach((edge, band) => {
    pen.fillStyle = mix(token("surface"), color, 0.16 + 0.16 * band);
    pen.beginPath();
    told.forEach((one, place) => pen.lineTo(x(one.step), y(edge[place][1])));
    [...told.keys()].reverse().forEach((place) => pen.lineTo(x(told[place].step), y(edge[place][0])));
    pen.fill();
  });
  pen.strokeStyle = color;
  pen.lineWidth = 2;
  pen.beginPath();
  told.forEach((one) => pen.lineTo(x(one.step), y(percentile(one, 50))));
  pen.stroke();
  if (lit >= 0 && lit < told.length) {
    pen.strokeStyle = token("line-strong");
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x(told[lit].step), top);
    pen.lineTo(x(told[lit].step), base);
    pen.stroke();
  }
  return (px) => {
    let near = 0;
    told.forEach((one, place) => { if (Math.abs(x(one.step) - px) < Math.abs(x(told[near].step) - px)) near = place; });
    return { place: histograms.indexOf(told[near]) };
  };
}

function short(step) {
  return step >= 1e6 ? `${format.value(step / 1e6, 3)}M` : step >= 1e4 ? `${format.value(step / 1e3, 3)}k` : format.count(Math.round(step));
}

/** A colour between two of the form #rrggbb. */
export function mix(from, to, share) {
  const part = (text, place) => parseInt(text.slice(1 + 2 * place, 3 + 2 * place), 16);
  const mixed = [0, 1, 2].map((place) => Math.round(part(from, place) + (part(to, place) - part(from, place)) * share));
  return `rgb(${mixed.join(" ")})`;
}
