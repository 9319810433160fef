/** A page that shows one run of those that have something for it: memory plans, profiles, compiled models. */

import { el } from "./dom.js";
import { failure } from "./messages.js";
import { RunChoice } from "./run_choice.js";
import { useStyle } from "./side_style.js";

/**
 * Whoever extends it offers `ask()`, which fetches what the run has, `take(found)`, which shows it in
 * `main`, and `planes`, the list of what is closed with the page.
 */
export class SidePage {
  /** `listed()` gives the names of the runs that have something. */
  constructor(root, context, listed) {
    Object.assign(this, { root, context, visit: 0 });
    this.choice = new RunChoice(context, listed, () => this.load());
    this.main = el("div", { class: "plan-main" });
    root.classList.add("page-fill");
  }

  static async mount(root, context) {
    await useStyle();
    const page = new this(root, context);
    await page.load();
    return page;
  }

  async load() {
    const visit = ++this.visit;
    this.choice.draw();
    try {
      const found = await this.ask();
      if (visit === this.visit) await this.take(found);
    } catch (error) {
      if (visit === this.visit) failure(this.main, error);
      console.warn(error);
    }
  }

  update() {
    const before = this.choice.name;
    this.choice.draw();
    if (this.choice.name !== before) this.load();
  }

  unmount() {
    this.visit += 1;
    for (const plane of this.planes) plane.close();
  }
}
