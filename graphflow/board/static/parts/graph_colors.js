/** What the colours of boxes tell: the family of an operator, its dtype, a share of the whole, or a pass' marks. */

import { bytes, count, value } from "./format.js";

/** Modes in the order of the menu: [key, name]. */
export const MODES = [
  ["family", "operator family"], ["dtype", "dtype"], ["seconds", "time"], ["bytes", "bytes"], ["flops", "FLOP"],
];

const FAMILIES = {
  "linear algebra, convolution": "blue", elementwise: "green", activation: "amber", "reduction, normalization": "orange",
  "shape, indexing": "pink", random: "sky", "control flow, update": "slate", variable: "yellow", constant: "grey",
  input: "plain", other: "grey",
};
const DTYPES = { float32: "blue", float64: "sky", float16: "amber", bfloat16: "orange", bool: "grey", several: "slate", "": "plain" };
const HEAT = [[0.2, "heat5", "20 % or more"], [0.05, "heat4", "5 to 20 %"], [0.01, "heat3", "1 to 5 %"], [0.001, "heat2", "0.1 to 1 %"], [-1, "heat1", "less"]];
const MARKS = [["removed", "removed"], ["added", "added"], ["changed", "changed"]];

function dtypePaint(name) {
  if (name in DTYPES) return DTYPES[name];
  if (name.startsWith("uint")) return "yellow";
  if (name.startsWith("int")) return "green";
  return "pink";
}

/** The mark that a box is painted by: that of all its marked nodes, or "changed". */
export function markOf(box) {
  const found = Object.keys(box.marks ?? {});
  return found.length > 1 ? "changed" : found[0] ?? "";
}

/** The marks of a box in few letters: −2 +1 ~3. */
export function marksTold({ marks }) {
  return [["removed", "−"], ["added", "+"], ["changed", "~"]].filter(([mark]) => marks?.[mark]).map(([mark, sign]) => `${sign}${count(marks[mark])}`).join(" ");
}

/** The name of the paint of a box, which is the class paint-NAME. */
export function paintOf(box, mode, totals, hasMarks) {
  if (hasMarks) {
    const mark = markOf(box);
    if (mark) return mark;
    return box.name === undefined ? "scope" : "faded";
  }
  if (mode === "dtype") return box.name === undefined && box.dtype === "several" ? "scope" : dtypePaint(box.dtype);
  if (mode !== "family") {
    const share = totals[mode] > 0 ? box[mode] / totals[mode] : 0;
    return HEAT.find(([least]) => share >= least)[1];
  }
  return box.name === undefined ? "scope" : FAMILIES[box.family] ?? "grey";
}

/** An amount of a mode in words; "" for modes that have none. */
export function amount(box, mode) {
  if (mode === "seconds") return box.seconds ? seconds(box.seconds) : "";
  if (mode === "bytes") return box.bytes ? bytes(box.bytes) : "";
  if (mode === "flops") return box.flops ? flop(box.flops) : "";
  return "";
}

/** Seconds of a node: 12.3 µs, 4.56 ms, 1.2 s. */
export function seconds(number) {
  if (!Number.isFinite(number)) return "";
  if (number === 0) return "0 s";
  if (number >= 1) return `${number.toFixed(2)} s`;
  return number >= 1e-3 ? `${(number * 1e3).toFixed(2)} ms` : `${(number * 1e6).toFixed(number < 1e-5 ? 2 : 1)} µs`;
}

/** Operations with a unit: 1.2 MFLOP. */
export function flop(number) {
  const units = ["", "k", "M", "G", "T", "P"];
  let place = 0;
  let left = number;
  while (Math.abs(left) >= 1000 && place < units.length - 1) { left /= 1000; place += 1; }
  return place ? `${left.toFixed(left < 100 ? 1 : 0)} ${units[place]}FLOP` : `${value(number)} FLOP`;
}

/** The legend of what is seen: [[paint, words, how many boxes]]. */
export function legend(boxes, mode, totals, hasMarks) {
  const used = new Map();
  for (const box of boxes) {
    if (box.open) continue;
    const paint = paintOf(box, mode, totals, hasMarks);
    used.set(paint, (used.get(paint) ?? 0) + 1);
  }
  const named = hasMarks ? [...MARKS, ["faded", "as before"]]
    : mode === "family" ? Object.entries(FAMILIES).map(([name, paint]) => [paint, name]).filter(([, name]) => name !== "other")
      : mode === "dtype" ? dtypes(boxes) : HEAT.map(([, paint, words]) => [paint, words]);
  return named.filter(([paint]) => used.has(paint)).map(([paint, words]) => [paint, words, used.get(paint)]);
}

function dtypes(boxes) {
  const found = new Map();
  for (const { dtype } of boxes) {
    const paint = dtypePaint(dtype);
    const words = dtype || "no value";
    if (!found.has(paint)) found.set(paint, new Set());
    found.get(paint).add(words);
  }
  return [...found].map(([paint, words]) => [paint, [...words].slice(0, 3).join(", ")]);
}

/** What a mode tells of the whole, for the legend's heading. */
export function told(mode, totals) {
  if (mode === "seconds") return totals.seconds ? `time, ${seconds(totals.seconds)} in all` : "time: no profile was logged";
  if (mode === "bytes") return `bytes read and written, ${bytes(totals.bytes)} in all`;
  if (mode === "flops") return `${flop(totals.flops)} in all`;
  return mode === "dtype" ? "dtype of what is made" : "operator family";
}

