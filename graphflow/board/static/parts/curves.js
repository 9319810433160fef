/** Curves: horizontal axes, smoothing, and the range without outliers. */

/** Numbers of an answer, in which NaN and infinities are texts. */
export function numbers(list) {
  return list.map(Number);
}

/**
 * The exponential moving average without bias to its start:
 * s_n = sum_k w^(n-k) y_k / sum_k w^(n-k), over the finite y; others stay as they are.
 */
export function smoothed(values, weight) {
  if (!(weight > 0)) return values;
  let [total, size] = [0, 0];
  return values.map((value) => {
    if (!Number.isFinite(value)) return value;
    total = total * weight + (1 - weight) * value;
    size = size * weight + (1 - weight);
    return total / size;
  });
}

/** Horizontal positions of a curve { step, wall }: by "step", "relative" (seconds) or "wall". */
export function positions(curve, axis) {
  if (axis === "step") return curve.step;
  const wall = curve.wall;
  if (axis === "wall") return wall;
  const start = wall.find(Number.isFinite) ?? 0;
  return wall.map((at) => at - start);
}

/** A curve for the chart: x ascending, and y, smooth and the positions in the given curve in that order. */
export function prepared(curve, axis, weight) {
  const x = positions(curve, axis);
  const smooth = curve.smooth ?? smoothed(curve.value, weight);
  let order = x.map((_, place) => place).filter((place) => Number.isFinite(x[place]));
  if (order.some((place, at) => at && x[order[at - 1]] > x[place])) order.sort((a, b) => x[a] - x[b] || a - b);
  // Of several points at one place the last one counts.
  order = order.filter((place, at) => at + 1 === order.length || x[order[at + 1]] !== x[place]);
  return { x: order.map((p) => x[p]), y: order.map((p) => curve.value[p]), smooth: order.map((p) => smooth[p]), order };
}

/** The range of all values, or of those between the 3rd and 97th percentile, with a margin. */
export function valueRange(lists, isRobust, isLog) {
  const all = [];
  for (const list of lists) for (const one of list) if (Number.isFinite(one) && (!isLog || one > 0)) all.push(isLog ? Math.log10(one) : one);
  if (!all.length) return isLog ? [0.1, 1] : [0, 1];
  let low = Infinity;
  let high = -Infinity;
  if (isRobust && all.length > 10) {
    all.sort((a, b) => a - b);
    [low, high] = [all[Math.floor(all.length * 0.03)], all[Math.ceil(all.length * 0.97) - 1]];
  } else {
    for (const one of all) {
      low = Math.min(low, one);
      high = Math.max(high, one);
    }
  }
  const margin = isFlat(low, high) ? Math.abs(low) * 0.1 || 0.5 : (high - low) * 0.05;
  return isLog ? [10 ** (low - margin), 10 ** (high + margin)] : [low - margin, high + margin];
}

/** Whether two numbers are so close that no scale fits between them. */
export function isFlat(low, high) {
  return !(high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high)));
}

/** The place of the element of an ascending list that is nearest to a number, or -1. */
export function nearest(list, at) {
  if (!list.length) return -1;
  let [low, high] = [0, list.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low > 0 && at - list[low - 1] <= list[low] - at ? low - 1 : low;
}

/** Up to about `most` round numbers in [low, high]. */
export function ticks(low, high, most = 6) {
  const raw = (high - low) / Math.max(1, most);
  if (!(raw > 0) || !Number.isFinite(raw)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw) ?? 10 * power;
  const found = [];
  for (let place = Math.ceil(low / step); place * step <= high + step * 1e-9 && found.length < 100; place += 1) found.push(place * step);
  return found;
}
