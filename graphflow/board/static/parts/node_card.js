/** All that the board knows of one node: the same card on every page that speaks of nodes. */

import { el, refill, svg } from "./dom.js";
import { bytes, count, plural, value } from "./format.js";
import { flop, seconds } from "./graph_colors.js";

const SHOWN = 12;

export class NodeCard {
  /** `request()` gives what else the server is told ({ run, position }); `page` is where the card is. */
  constructor(context, request, page) {
    Object.assign(this, { context, request, page, visit: 0 });
    this.root = el("div", { class: "node-card" });
  }

  /** Show a node, or what `instead` builds if there is none. */
  async show(name, instead = () => null) {
    const visit = ++this.visit;
    if (!name) { refill(this.root, instead()); return; }
    let found;
    try {
      found = await this.context.api("node", { ...this.request(), node: name });
    } catch (error) {
      if (visit === this.visit) refill(this.root, this.head(name, null), el("p", { class: "muted" }, error.message));
      return;
    }
    if (visit !== this.visit) return;
    const { graph } = found;
    if (!found.known) { refill(this.root, this.head(name, null), el("p", { class: "muted" }, `The run ${this.request().run} knows nothing of it.`)); return; }
    refill(this.root, this.head(name, graph), this.places(found), this.amounts(found),
      graph ? [this.ends("Inputs", graph.inputs, graph.input_count), this.outputs(graph), this.attributes(graph)] : null,
      this.curves(found.curves), this.memory(found), this.history(found.history));
  }

  head(name, graph) {
    const at = name.lastIndexOf("/");
    return el("header", { class: "node-head" },
      graph ? el("div", { class: "small muted" }, graph.op, graph.family === graph.op ? "" : ` · ${graph.family}`) : null,
      el("h2", {}, at >= 0 ? el("span", { class: "muted" }, name.slice(0, at + 1)) : null, name.slice(at + 1)),
      graph?.line ? el("div", { class: "source-line", title: "the line of your program that made it" }, el("span", { class: "muted" }, "made at "), el("code", {}, graph.line),
        el("button", { class: "quiet tiny", aria_label: `Copy ${graph.line}`, onclick: () => this.copy(graph.line) }, "copy")) : null,
      graph?.mark ? el("span", { class: `badge mark-${graph.mark}` }, graph.mark === "changed" ? "reads others after this pass" : `${graph.mark} by this pass`) : null);
  }

  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      this.context.announce(`copied ${text}`);
    } catch {
      this.context.announce(text);
    }
  }

  /** The other pages that know the node. */
  places(found) {
    const links = [["graph", "Graph", found.graph], ["memory", "Memory", found.memory.length], ["profile", "Profile", found.time]];
    const shown = links.filter(([page, , has]) => has && page !== this.page);
    return shown.length ? el("div", { class: "node-places" }, shown.map(([page, title]) =>
      el("button", { class: "tiny", onclick: () => this.context.go(page) }, `Show in ${title}`))) : null;
  }

  amounts({ time, graph }) {
    const rows = [];
    if (time) rows.push(["Time", `${seconds(time.seconds)} · ${(100 * time.share).toFixed(time.share < 0.1 ? 2 : 1)} %`, `no. ${count(time.place)} of ${count(time.of)}`, time.share]);
    if (graph?.flops) rows.push(["Work", flop(graph.flops)]);
    if (graph?.bytes) rows.push(["Reads and writes", bytes(graph.bytes)]);
    return rows.length ? el("dl", { class: "node-facts" }, rows.map(([name, told, more, share]) => [el("dt", {}, name),
      el("dd", {}, told, more ? el("span", { class: "muted" }, ` ${more}`) : null, share === undefined ? null : bar(share))])) : null;
  }

  link(name, type, isMissing) {
    return el("li", {}, isMissing ? el("span", { class: "ellipsis muted" }, name)
      : el("button", { class: "link ellipsis", title: name, onclick: () => this.context.select(name) }, name),
    type ? el("span", { class: "type" }, type) : null);
  }

  ends(title, listed, total) {
    if (!listed.length) return null;
    const row = (one) => this.link(one.name, one.type, one.missing);
    return section(`${title} ${count(total)}`, el("ul", { class: "ends" }, listed.slice(0, SHOWN).map(row)), rest(listed, row), left(total, listed.length));
  }

  outputs(graph) {
    const types = graph.outputs.slice(0, SHOWN).map((type, place) => el("li", {}, el("span", { class: "muted" }, graph.outputs.length > 1 ? `:${place}` : "makes"), el("span", { class: "type" }, type)));
    const row = (one) => this.link(one.name, one.op, false);
    return section(`Outputs ${count(graph.reader_count)}`, el("ul", { class: "ends" }, types, graph.readers.slice(0, SHOWN).map(row)), rest(graph.readers, row), left(graph.reader_count, graph.readers.length));
  }

  attributes(graph) {
    const pairs = Object.entries(graph.attrs);
    return pairs.length ? section("Attributes", el("dl", { class: "node-attrs" }, pairs.map(([key, told]) => [el("dt", {}, key), el("dd", {}, told)]))) : null;
  }

  curves(listed) {
    if (!listed.length) return null;
    return section("Logged", el("ul", { class: "node-curves" }, listed.map((one) => {
      const page = one.kind === "scalars" ? "scalars" : one.kind;
      return el("li", {}, el("button", { class: "link ellipsis", title: one.tag, onclick: () => this.context.go(page, { tags: `^${escaped(one.tag)}$` }) }, one.tag),
        one.kind === "scalars" ? spark(one) : el("span", { class: "muted small" }, `${one.kind}, ${plural(one.count, "step")}`));
    })));
  }

  memory({ memory, arena_bytes: arena }) {
    if (!memory.length) return null;
    return section("Memory", el("ul", { class: "node-memory" }, memory.map((one) => el("li", {},
      el("div", {}, el("strong", {}, bytes(one.bytes)), el("span", { class: "muted" }, ` at ${count(one.offset)}, ${one.kind}`)),
      el("div", { class: "small muted" }, `live in steps ${count(one.first)} to ${count(one.last - 1)}${one.last_read_at ? `, last read at ${one.last_read_at}` : ""}`),
      arena ? bar(one.bytes / arena) : null))));
  }

  history(history) {
    if (!history || (!history.edits.length && !history.declined.length)) return null;
    const edit = (one) => el("li", {}, el("strong", {}, one.rule || one.kind), el("span", { class: "muted" }, ` in ${one.pass_name}: ${one.kind}`),
      one.reason ? el("div", {}, one.reason) : null,
      el("div", { class: "small" }, names("from ", one.removed, this), names("to ", one.into.length ? one.into : one.added, this)));
    const declined = (one) => el("li", {}, el("strong", {}, one.rule), el("span", { class: "muted" }, ` in ${one.pass_name} declined`), el("div", {}, one.reason));
    return section("Optimizer", el("ul", { class: "node-history" }, history.edits.slice(0, SHOWN).map(edit), history.declined.slice(0, SHOWN).map(declined)),
      left(history.edits.length + history.declined.length, Math.min(history.edits.length, SHOWN) + Math.min(history.declined.length, SHOWN)));
  }
}

/** "from a, b": names as links to nodes. */
export function names(word, listed, { context }) {
  if (!listed.length) return null;
  return el("span", { class: "names" }, word, listed.slice(0, 6).map((name, place) => [place ? ", " : "", el("button", { class: "link", onclick: (event) => { event.stopPropagation(); context.select(name); } }, name)]),
    listed.length > 6 ? ` and ${listed.length - 6} more ` : " ");
}

function section(title, ...children) {
  return el("section", {}, el("h3", {}, title), children);
}

function rest(listed, row) {
  if (listed.length <= SHOWN) return null;
  return el("details", {}, el("summary", { class: "small muted" }, `${count(listed.length - SHOWN)} more`), el("ul", { class: "ends" }, listed.slice(SHOWN).map(row)));
}

function left(total, listed) {
  return total > listed ? el("p", { class: "small muted" }, `${count(total - listed)} are not listed`) : null;
}

/** A bar of a share. */
export function bar(share) {
  const inner = el("i");
  inner.style.width = `${Math.min(100, Math.max(0.5, 100 * share))}%`;
  return el("div", { class: "bar" }, inner);
}

/** A curve in a line of text, with its last value. */
function spark({ step, value: values }) {
  const points = step.map((at, place) => [Number(at), Number(values[place])]).filter(([, height]) => Number.isFinite(height));
  if (!points.length) return el("span", { class: "muted small" }, "no finite value");
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const span = (list) => [Math.min(...list), Math.max(...list)];
  const [[x0, x1], [y0, y1]] = [span(xs), span(ys)];
  const d = points.map(([x, y]) => `${(1 + (98 * (x - x0)) / (x1 - x0 || 1)).toFixed(1)} ${(21 - (18 * (y - y0)) / (y1 - y0 || 1)).toFixed(1)}`).join("L");
  return el("span", { class: "spark" }, svg("svg", { viewBox: "0 0 100 24", aria_hidden: "true" }, svg("path", { d: `M${d}${points.length === 1 ? "h.1" : ""}` })),
    el("span", { class: "small" }, value(points.at(-1)[1])));
}

function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
