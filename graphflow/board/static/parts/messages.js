/** What is shown where there is nothing to show, and where something went wrong. */

import { el, icon, refill } from "./dom.js";
import { ICONS } from "./icons.js";

const EXAMPLE = `with gf.train.SummaryWriter("logs/first") as writer:
    writer.scalar("loss", value, step)`;

/** The page of a log directory that has nothing for it. */
export function empty(root, info) {
  const isBare = !info.runs.some((run) => run.points || run.side_files.length);
  refill(root, el("div", { class: "empty" }, icon(ICONS.empty),
    el("h1", {}, !info.complete ? "Reading…" : isBare ? "Nothing is logged yet" : "Nothing of this kind is logged"),
    el("p", {}, isBare ? "The board shows what runs write to this folder, as soon as it is there." : "Choose another page above; this one appears once a run logs something for it."),
    isBare && info.complete ? el("pre", { class: "code" }, EXAMPLE) : null,
    notices(info.notices)));
}

/** A short text in the middle of the page. */
export function nothing(title, text) {
  return el("div", { class: "empty" }, icon(ICONS.search), el("h1", {}, title), text ? el("p", {}, text) : null);
}

/** An error in place of what it prevents. */
export function failure(root, error) {
  refill(root, el("div", { class: "empty", role: "alert" }, icon(ICONS.warning), el("h1", {}, "This cannot be shown"),
    el("p", {}, error.message), error.hint ? el("p", { class: "muted" }, error.hint) : null));
}

/** A box with what could not be read, or null. */
export function notices(listed, title = "Some of the folder could not be read") {
  if (!listed?.length) return null;
  return el("div", { class: "notice" }, icon(ICONS.warning),
    el("div", {}, el("strong", {}, title), el("ul", {}, listed.slice(0, 20).map((one) => el("li", {}, one)))));
}
