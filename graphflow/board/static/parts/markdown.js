/**
 * A safe subset of Markdown as elements: headings, paragraphs, lists, quotes, code, tables, rules, emphasis
 * and http(s) links. Everything else, HTML above all, stays the text that it is; no pictures are fetched.
 */

import { el } from "./dom.js";

const MOST_LINES = 5000;
/** Longer lines stay as they are: the time that the expression below takes may grow with their square. */
const LONGEST_LINE = 4000;

/** Elements for a text. */
export function markdown(text) {
  const lines = text.replaceAll("\r\n", "\n").split("\n").slice(0, MOST_LINES);
  const made = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    if (!line.trim()) {
      at += 1;
    } else if (FENCE.test(line)) {
      const fence = line.trim().slice(0, 3);
      const end = lines.findIndex((one, place) => place > at && one.trim().startsWith(fence));
      const last = end < 0 ? lines.length : end;
      made.push(el("pre", { class: "code" }, el("code", {}, lines.slice(at + 1, last).join("\n"))));
      at = last + 1;
    } else if (/^#{1,6}\s/.test(line)) {
      const level = line.match(/^#+/)[0].length;
      made.push(el(level <= 1 ? "h2" : "h3", {}, inline(line.slice(level).trim().replace(/\s#+$/, ""))));
      at += 1;
    } else if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(line)) {
      made.push(el("hr"));
      at += 1;
    } else if (isTable(lines, at)) {
      const last = run(lines, at + 2, (one) => one.includes("|"));
      made.push(table(lines.slice(at, last)));
      at = last;
    } else if (/^\s*>/.test(line)) {
      const last = run(lines, at, (one) => /^\s*>/.test(one));
      made.push(el("blockquote", {}, inline(lines.slice(at, last).map((one) => one.replace(/^\s*>\s?/, "")).join(" "))));
      at = last;
    } else if (ITEM.test(line)) {
      const last = run(lines, at, (one) => ITEM.test(one) || /^\s{2,}\S/.test(one));
      made.push(list(lines.slice(at, last)));
      at = last;
    } else {
      const last = run(lines, at + 1, (one) => one.trim() && !/^(#{1,6}\s|\s*>)/.test(one) && !FENCE.test(one) && !ITEM.test(one));
      made.push(el("p", {}, lines.slice(at, last).flatMap((one, place) => [place ? el("br") : null, inline(one.trim())])));
      at = last;
    }
  }
  return made;
}

const FENCE = /^\s{0,3}(```|~~~)[`~]{0,20}[^`]{0,40}$/;
const ITEM = /^\s*([-*+]|\d{1,9}[.)])\s+/;

function run(lines, first, test) {
  let last = first;
  while (last < lines.length && test(lines[last])) last += 1;
  return last;
}

function isTable(lines, at) {
  const rule = lines[at + 1] ?? "";
  return lines[at].includes("|") && rule.includes("|") && rule.includes("-") && /^[\s|:-]+$/.test(rule);
}

function cells(line) {
  return line.trim().replace(/^\||\|$/g, "").split("|").map((one) => one.trim());
}

function table([head, , ...rows]) {
  return el("table", {}, el("thead", {}, el("tr", {}, cells(head).map((one) => el("th", {}, inline(one))))),
    el("tbody", {}, rows.map((row) => el("tr", {}, cells(row).map((one) => el("td", {}, inline(one)))))));
}

/** Items of one level; lines that are indented belong to the item before. */
function list(lines) {
  const isNumbered = /^\s*\d/.test(lines[0]);
  const items = [];
  for (const line of lines) {
    if (ITEM.test(line)) items.push(line.replace(ITEM, ""));
    else items[items.length - 1] += ` ${line.trim()}`;
  }
  return el(isNumbered ? "ol" : "ul", {}, items.map((one) => el("li", {}, inline(one))));
}

const SPANS = /(`+)([^`]+)\1|\*\*([^*]+)\*\*|__([^_]+)__|\*([^*\s][^*]*)\*|\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)/g;

/** Texts and elements of one line. */
function inline(text) {
  if (text.length > LONGEST_LINE) return [text];
  const made = [];
  let done = 0;
  for (const found of text.matchAll(SPANS)) {
    if (found.index > done) made.push(text.slice(done, found.index));
    const [whole, , code, strong, strong2, emphasis, name, link] = found;
    if (code !== undefined) made.push(el("code", {}, code));
    else if (strong ?? strong2) made.push(el("strong", {}, strong ?? strong2));
    else if (emphasis) made.push(el("em", {}, emphasis));
    else made.push(el("a", { href: link, rel: "noopener noreferrer", target: "_blank" }, name));
    done = found.index + whole.length;
  }
  if (done < text.length) made.push(text.slice(done));
  return made;
}
