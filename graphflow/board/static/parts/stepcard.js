/** A card that shows one of the steps of one tag of one run, chosen with a slider. */

import { el, icon } from "./dom.js";
import * as format from "./format.js";
import { restOf } from "./gallery.js";

export class StepCard {
  /**
   * `fetch(signal) -> [{ step, wall, ... }]` asks the server, `draw(entry, body)` shows one of them.
   * `tools` are [path of a drawing, label, act(entry)].
   */
  constructor(item, gallery, context, { fetch, draw, tools = [], hasSlider = true }) {
    Object.assign(this, { item, gallery, context, fetch, drawEntry: draw, entries: [], chosen: -1 });
    this.body = el("div", { class: "step-body" });
    this.note = el("div", { class: "chart-note" }, "Loading…");
    this.told = el("output", {});
    this.slider = el("input", {
      type: "range", min: 0, max: 0, step: 1, value: 0, aria_label: `Step of ${item.tag}, ${item.run}`,
      oninput: () => { this.chosen = Number(this.slider.value); this.draw(); },
    });
    this.hasSlider = hasSlider;
    this.stepper = el("div", { class: "stepper", hidden: true }, this.slider, this.told);
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = context.runs.color(item.run);
    this.swatch = swatch;
    const runName = item.run === "." ? "(top folder)" : item.run;
    this.element = el("article", { class: "card", aria_label: `${item.tag}, ${runName}` },
      el("div", { class: "card-head" },
        el("h3", { class: "card-title", title: `${item.tag}\n${runName}` }, restOf(item.tag), " ", el("span", { class: "card-run" }, swatch, runName)),
        tools.map(([drawing, label, act]) => el("button", { class: "quiet tiny square", title: label, aria_label: `${label}: ${item.tag}, ${runName}`,
          onclick: () => this.entry && act(this.entry) }, icon(drawing))), gallery.buttons(item)),
      el("div", { class: "card-body step-card" }, this.body, this.note, this.stepper));
  }

  get entry() {
    return this.entries[this.chosen];
  }

  async refresh() {
    this.abort?.abort();
    const abort = new AbortController();
    this.abort = abort;
    try {
      const found = await this.gallery.loader.add(abort.signal, (signal) => this.fetch(signal));
      const isAtEnd = this.chosen < 0 || this.chosen === this.entries.length - 1;
      const step = this.entry?.step;
      this.entries = found;
      // Whoever looks at the last step goes on to see the last one; others stay where they are.
      const same = found.findIndex((one) => one.step === step);
      this.chosen = isAtEnd || same < 0 ? found.length - 1 : same;
      this.draw();
    } catch (error) {
      if (error.name !== "AbortError") this.tell(error.message);
    }
  }

  tell(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  draw() {
    this.slider.max = String(Math.max(0, this.entries.length - 1));
    this.slider.value = String(this.chosen);
    this.stepper.hidden = !this.hasSlider || !this.entries.length;
    this.slider.classList.toggle("is-gone", this.entries.length < 2);
    this.tell(this.entry ? "" : "Nothing to show");
    if (!this.entry) return;
    this.told.textContent = `step ${format.count(this.entry.step)}`;
    this.slider.setAttribute("aria-valuetext", `step ${this.entry.step}`);
    this.drawEntry(this.entry, this.body, this.entries, this.chosen);
  }

  repaint() {
    this.swatch.style.background = this.context.runs.color(this.item.run);
    this.draw();
  }

  close() {
    this.abort?.abort();
  }
}
