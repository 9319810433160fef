/** The first page: what the folder holds, run by run, and what of it could not be read. */

import { el, icon, refill } from "../parts/dom.js";
import * as format from "../parts/format.js";
import { ICONS } from "../parts/icons.js";
import { empty, notices } from "../parts/messages.js";

export const title = "Overview";
export const available = (info) => info.runs.some((run) => run.points || run.side_files.length || run.notices.length);

const KINDS = { scalars: "curve", histograms: "histogram", images: "image", text: "text", pr_curves: "PR curve", hparams: "setting" };
const PAGE_OF = { scalars: "scalars", histograms: "histograms", images: "images", text: "text", pr_curves: "pr_curves", hparams: "hparams", graph: "graph", journal: "graph", memory: "memory", profile: "profile" };
const MOST_ROWS = 300;

export async function mount(root, context) {
  const draw = () => show(root, context);
  context.runs.onChange(draw);
  context.onTheme(draw);
  draw();
  return { update: draw, unmount: () => {} };
}

function show(root, context) {
  const info = context.info();
  if (!available(info)) {
    empty(root, info);
    return;
  }
  const sum = (key) => info.runs.reduce((total, run) => total + (run[key] ?? 0), 0);
  const tile = (name, value, told) => el("div", { class: "card tile" }, el("div", { class: "muted small" }, name), el("div", { class: "value" }, value), told ? el("div", { class: "muted small" }, told) : null);
  const visible = new Set(context.runs.visible);
  const shown = info.runs.filter((run) => visible.has(run.name));
  const focused = document.activeElement?.dataset?.key;
  refill(root,
    el("div", { class: "page-head" }, el("h1", {}, info.name)),
    notices(info.notices),
    el("div", { class: "tiles" },
      tile("Runs", format.count(info.runs.length), `${format.count(shown.length)} shown`),
      tile("Points", format.count(sum("points"))),
      tile("Tags", format.count(sum("tags"))),
      tile("Event files", format.bytes(info.bytes), info.complete ? "all read" : `${info.bytes ? Math.floor((100 * info.read_bytes) / info.bytes) : 0} % read`)),
    el("div", { class: "table-box" }, el("table", { class: "data" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Run"), el("th", { scope: "col", class: "wide" }, "Logged"), el("th", { scope: "col", class: "number" }, "Points"),
        el("th", { scope: "col", class: "number" }, "Size"), el("th", { scope: "col" }, "State"))),
      el("tbody", {}, shown.slice(0, MOST_ROWS).map((run) => row(run, context))))),
    shown.length > MOST_ROWS ? el("p", { class: "muted small pad" }, `and ${format.plural(shown.length - MOST_ROWS, "more run")}`) : null,
    shown.length ? null : el("p", { class: "muted pad" }, "No run is ticked."),
    shown.some((run) => run.notices.length) ? el("div", { class: "after" }, shown.filter((run) => run.notices.length).slice(0, 20).map((run) => notices(run.notices, `${nameOf(run)}: not all could be read`))) : null);
  if (focused) root.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function nameOf(run) {
  return run.name === "." ? "(top folder)" : run.name;
}

function row(run, context) {
  const swatch = el("span", { class: "swatch" });
  swatch.style.background = context.runs.color(run.name);
  const known = new Set(context.info().pages);
  const link = (page, text) => known.has(page)
    ? el("button", { class: "quiet tiny link", data_key: `${run.name}/${text}`, onclick: () => context.go(page) }, text) : el("span", { class: "small muted" }, text);
  const kinds = Object.entries(run.kinds).filter(([kind]) => KINDS[kind]).map(([kind, size]) => link(PAGE_OF[kind], kind === "hparams" ? "settings" : format.plural(size, KINDS[kind])));
  const sides = run.side_files.map((side) => link(PAGE_OF[side], side));
  const isReading = run.read_bytes < run.bytes;
  const bar = el("i", {});
  bar.style.width = `${run.bytes ? (100 * run.read_bytes) / run.bytes : 100}%`;
  return el("tr", {},
    el("th", { scope: "row", class: "row-name" }, el("span", { class: "name-cell" }, swatch, el("span", { class: "ellipsis", title: nameOf(run) }, nameOf(run)))),
    el("td", {}, el("span", { class: "links" }, kinds, sides)),
    el("td", { class: "number" }, format.count(run.points)), el("td", { class: "number" }, format.bytes(run.bytes)),
    el("td", {}, run.notices.length ? el("span", { class: "badge warn", title: run.notices.join("\n") }, icon(ICONS.warning), ` ${format.plural(run.notices.length, "notice")}`)
      : isReading ? el("div", { class: "bar", role: "img", aria_label: "being read" }, bar) : el("span", { class: "muted small" }, "read")));
}
