/** Numbers, times and sizes in few letters. */

/** A value with up to `digits` significant digits: 0.01234, 1.2e-7, 12,345. */
export function value(number, digits = 4) {
  if (number === null || number === undefined) return "";
  const given = Number(number);
  if (!Number.isFinite(given)) return Number.isNaN(given) ? "NaN" : given > 0 ? "∞" : "−∞";
  if (given === 0) return "0";
  const size = Math.abs(given);
  if (size >= 1e6 || size < 1e-4) return given.toExponential(digits - 2).replace(/\.?0+e/, "e").replace("e+", "e").replace("-", "−");
  if (Number.isInteger(given)) return count(given);
  return Number(given.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 8 }).replace("-", "−");
}

/** A whole number with separators. */
export function count(number) {
  return Number(number).toLocaleString("en").replace("-", "−");
}

/** One with a unit of number: plural(2, "run") is "2 runs". */
export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

/** Bytes in kB, MB, GB. */
export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let place = 0;
  let left = number;
  while (left >= 1000 && place < units.length - 1) {
    left /= 1000;
    place += 1;
  }
  return `${place && left < 100 ? left.toFixed(1) : Math.round(left)} ${units[place]}`;
}

/** Seconds as 1.2 s, 3 min 4 s, 2 h 5 min. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const sign = seconds < 0 ? "−" : "";
  const size = Math.abs(seconds);
  if (size < 1) return `${sign}${Math.round(size * 1000)} ms`;
  if (size < 60) return `${sign}${size.toFixed(size < 10 ? 1 : 0)} s`;
  const whole = Math.round(size);
  if (size < 3600) return `${sign}${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (size < 86400) return `${sign}${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${sign}${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** Seconds since 1970 as a local date and time. */
export function time(seconds) {
  if (!seconds || !Number.isFinite(seconds)) return "";
  const at = new Date(seconds * 1000);
  if (Number.isNaN(at.getTime())) return "";
  const two = (part) => String(part).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
