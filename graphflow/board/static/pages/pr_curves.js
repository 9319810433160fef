/** Precision-recall curves: all runs of a tag in one chart, at a step that a slider chooses. */

import { LineChart } from "../parts/chart.js";
import { numbers } from "../parts/curves.js";
import { el, icon } from "../parts/dom.js";
import * as format from "../parts/format.js";
import { Gallery, restOf } from "../parts/gallery.js";
import { ICONS } from "../parts/icons.js";
import { chartSvg, fileName, saveText } from "../parts/save.js";

export const title = "PR curves";
export const available = (info) => info.kinds.pr_curves.length > 0;

export async function mount(root, context) {
  const gallery = new Gallery(root, context, { kind: "pr_curves", height: 340, width: 340, make: (item, owner) => new CurveCard(item, owner, context) });
  await gallery.load();
  return { update: (revision, changes) => gallery.update(changes), unmount: () => gallery.close() };
}

class CurveCard {
  constructor(item, gallery, context) {
    Object.assign(this, { item, gallery, context, found: new Map(), steps: [], chosen: -1 });
    this.body = el("div", {});
    this.note = el("div", { class: "chart-note" }, "Loading…");
    this.chart = new LineChart(this.body, { label: `Precision by recall, ${item.tag}`, announce: context.announce });
    this.told = el("output", {});
    this.slider = el("input", { type: "range", min: 0, max: 0, step: 1, aria_label: `Step of ${item.tag}`,
      oninput: () => { this.chosen = Number(this.slider.value); this.draw(); } });
    this.element = el("article", { class: "card", aria_label: item.tag },
      el("div", { class: "card-head" }, el("h3", { class: "card-title", title: item.tag }, restOf(item.tag)),
        el("button", { class: "quiet tiny square", title: "Save as SVG", aria_label: `Save as SVG: ${item.tag}`, onclick: () => this.save() }, icon(ICONS.picture)),
        gallery.buttons(item)),
      el("div", { class: "card-body step-card" }, el("div", { class: "step-body" }, this.body), this.note,
        el("div", { class: "stepper" }, this.slider, this.told)));
  }

  async refresh() {
    this.abort?.abort();
    const abort = new AbortController();
    this.abort = abort;
    try {
      const found = new Map();
      for (const run of this.context.runs.visible) {
        if (!this.gallery.owns(run, this.item.tag)) continue;
        const answer = await this.gallery.loader.add(abort.signal, (signal) =>
          this.context.api("pr_curves", { run, tag: this.item.tag }, { signal }).catch((error) => { if (error.status === 404) return null; throw error; }));
        if (answer) found.set(run, answer.curves);
      }
      const isAtEnd = this.chosen < 0 || this.chosen === this.steps.length - 1;
      this.found = found;
      this.steps = [...new Set([...found.values()].flat().map((one) => one.step))].sort((a, b) => a - b);
      if (isAtEnd || this.chosen >= this.steps.length) this.chosen = this.steps.length - 1;
      this.draw();
    } catch (error) {
      if (error.name !== "AbortError") this.tell(error.message);
    }
  }

  tell(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  /** Of each run the last curve that is not after the chosen step. */
  lines() {
    const at = this.steps[this.chosen];
    const lines = [];
    for (const [run, curves] of this.found) {
      const curve = curves.findLast((one) => one.step <= at);
      if (!curve) continue;
      const [recall, precision] = [numbers(curve.recall), numbers(curve.precision)];
      // Where nothing is called positive, precision has no meaning.
      const isMeant = curve.true_positives.map((one, place) => Number(one) + Number(curve.false_positives[place]) > 0);
      const order = recall.map((_, place) => place).filter((place) => isMeant[place]).sort((a, b) => recall[a] - recall[b] || b - a);
      lines.push({
        name: run === "." ? "(top folder)" : run, color: this.context.runs.color(run), step: curve.step,
        x: order.map((place) => recall[place]), y: order.map((place) => precision[place]),
        cells: (place) => [format.value(recall[order[place]], 3), format.value(Number(curve.thresholds[order[place]]), 3),
          ...["true_positives", "false_positives", "false_negatives"].map((name) => format.value(Number(curve[name][order[place]])))],
      });
    }
    return lines;
  }

  options() {
    return { axis: "recall", isTime: false, isLog: false, isRobust: false, isSmooth: false, xName: "Recall", yName: "Precision", xRange: [0, 1.005], yRange: [0, 1.03],
      columns: ["recall", "threshold", "TP", "FP", "FN"], xLabel: (at) => format.value(at, 3) };
  }

  draw() {
    this.slider.max = String(Math.max(0, this.steps.length - 1));
    this.slider.value = String(this.chosen);
    this.slider.disabled = this.steps.length < 2;
    this.told.textContent = this.steps.length ? `step ${format.count(this.steps[this.chosen])}` : "";
    const lines = this.lines();
    this.tell(lines.length ? "" : "No curves in the runs that are ticked");
    this.chart.show(lines, this.options());
  }

  repaint() {
    this.draw();
  }

  save() {
    const lines = this.lines().map((line) => ({ ...line, smooth: line.y }));
    saveText(fileName(this.item.tag, "svg"), chartSvg(`${this.item.tag}: precision by recall`, lines, this.options()), "image/svg+xml");
  }

  close() {
    this.abort?.abort();
    this.chart.close();
  }
}
