/** Histograms over the steps, and distributions: the percentiles of the same. */

import { placeTip, tipBox } from "../parts/chart.js";
import { segments } from "../parts/controls.js";
import { numbers } from "../parts/curves.js";
import { el, refill } from "../parts/dom.js";
import * as format from "../parts/format.js";
import { Gallery } from "../parts/gallery.js";
import { drawHistograms, percentile } from "../parts/ridges.js";
import { StepCard } from "../parts/stepcard.js";

export const title = "Histograms";
export const available = (info) => info.kinds.histograms.length > 0;

const MODES = [["ridges", "Ridges"], ["overlay", "Overlay"], ["bands", "Percentiles"]];

export async function mount(root, context) {
  const mode = () => context.state.get("mode", "ridges");
  const gallery = new Gallery(root, context, {
    kind: "histograms", perRun: true, height: 320, width: 360, make: (item, owner) => new HistogramCard(item, owner, context, mode),
  });
  const choose = segments("Show as", MODES, (value) => {
    context.state.set("mode", value === "ridges" ? "" : value);
    choose.set(value);
    for (const card of gallery.cards.values()) card.draw();
  });
  choose.set(mode());
  refill(context.sidebar, choose.element);
  context.help([["m", "ridges, overlay or percentiles", () => {
    const at = MODES.findIndex(([value]) => value === mode());
    const [value] = MODES[(at + 1) % MODES.length];
    context.state.set("mode", value === "ridges" ? "" : value);
    choose.set(value);
    for (const card of gallery.cards.values()) card.draw();
  }]]);
  await gallery.load();
  return { update: (revision, changes) => gallery.update(changes), unmount: () => gallery.close() };
}

class HistogramCard extends StepCard {
  constructor(item, gallery, context, mode) {
    super(item, gallery, context, {
      fetch: async (signal) => (await context.api("histograms", { run: item.run, tag: item.tag }, { signal })).histograms.map((one) => ({
        ...one, left: numbers(one.left), right: numbers(one.right), counts: numbers(one.counts),
      })),
      draw: () => this.paint(), hasSlider: false,
    });
    this.mode = mode;
    this.lit = -1;
    this.find = () => null;
    this.canvas = el("canvas", {
      class: "canvas-fit", role: "img", tabIndex: 0, aria_label: `Histograms of ${item.tag}`,
      onpointermove: (event) => this.pointed(event), onpointerleave: () => this.left(), onblur: () => this.left(),
      onkeydown: (event) => this.pressed(event),
    });
    this.body.append(this.canvas);
    this.watch = new ResizeObserver(() => this.paint());
    this.watch.observe(this.canvas);
  }

  paint() {
    if (!this.canvas || !this.entries.length) return;
    const last = this.entries[this.entries.length - 1];
    this.canvas.setAttribute("aria-label",
      `Histograms of ${this.item.tag}, ${this.entries.length} steps; at step ${last.step} the median is ${format.value(percentile(last, 50))}, `
      + `from ${format.value(percentile(last, 0))} to ${format.value(percentile(last, 100))}. Arrow keys read steps.`);
    this.find = drawHistograms(this.canvas, this.entries, { mode: this.mode(), color: this.context.runs.color(this.item.run), lit: this.lit });
  }

  pointed(event) {
    const found = this.find(event.offsetX, event.offsetY);
    if (!found) {
      this.left();
      return;
    }
    this.light(found.place);
    const one = this.entries[found.place];
    refill(tipBox(), el("table", {}, [
      ["step", format.count(one.step)], ["at", format.time(one.wall)],
      ...(found.from === undefined ? [] : [[`${format.value(found.from, 3)} to ${format.value(found.to, 3)}`, format.value(found.count, 3)]]),
      ["median", format.value(percentile(one, 50))], ["68 %", `${format.value(percentile(one, 15.9))} to ${format.value(percentile(one, 84.1))}`],
      ["all", `${format.value(percentile(one, 0))} to ${format.value(percentile(one, 100))}`],
      ["count", format.value(one.counts.reduce((a, b) => a + b, 0))],
    ].map(([name, told]) => el("tr", {}, el("td", {}, name), el("td", {}, told)))));
    placeTip(event.clientX, event.clientY);
  }

  light(place) {
    if (place === this.lit) return;
    this.lit = place;
    this.paint();
  }

  left() {
    tipBox().hidden = true;
    this.light(-1);
  }

  pressed(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by || !this.entries.length) return;
    event.preventDefault();
    const from = this.lit < 0 ? (by > 0 ? -1 : this.entries.length) : this.lit;
    this.light(Math.max(0, Math.min(this.entries.length - 1, from + by)));
    const one = this.entries[this.lit];
    this.context.announce(`step ${one.step}: median ${format.value(percentile(one, 50))}, ${format.value(percentile(one, 0))} to ${format.value(percentile(one, 100))}`);
  }

  close() {
    super.close();
    this.watch.disconnect();
    tipBox().hidden = true;
  }
}
