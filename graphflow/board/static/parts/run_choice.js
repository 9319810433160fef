/** Which run a page shows that shows one: a menu of those that have something for it. */

import { el, refill } from "./dom.js";

export class RunChoice {
  /** `listed()` gives names of runs, `changed()` is called when the user chooses another. */
  constructor(context, listed, changed) {
    Object.assign(this, { context, listed });
    this.menu = el("select", { aria_label: "Run", class: "run-choice", onchange: () => { context.state.set("run", this.menu.value); changed(); } });
    this.draw();
  }

  draw() {
    const names = this.listed();
    const told = names.join("\n");
    if (told !== this.told) {
      this.told = told;
      refill(this.menu, names.map((name) => el("option", { value: name }, name)));
    }
    this.menu.value = this.name;
    this.menu.hidden = names.length < 2;
  }

  /** The run in the address, or the first that is ticked, or the first. */
  get name() {
    const names = this.listed();
    const wanted = this.context.state.get("run");
    if (names.includes(wanted)) return wanted;
    return names.find((name) => this.context.runs.visible.includes(name)) ?? names[0] ?? "";
  }
}
