/** Texts, as a safe subset of Markdown or as they are. */

import { el, refill } from "../parts/dom.js";
import * as format from "../parts/format.js";
import { Gallery } from "../parts/gallery.js";
import { check } from "../parts/controls.js";
import { markdown } from "../parts/markdown.js";
import { StepCard } from "../parts/stepcard.js";

export const title = "Text";
export const available = (info) => info.kinds.text.length > 0;

export async function mount(root, context) {
  const isPlain = () => context.state.get("plain") === "1";
  const gallery = new Gallery(root, context, {
    kind: "text", perRun: true, height: 320, width: 480,
    make: (item, owner) => new StepCard(item, owner, context, {
      fetch: async (signal) => (await context.api("texts", { run: item.run, tag: item.tag }, { signal })).texts,
      draw: (entry, body) => draw(entry, body, isPlain()),
    }),
  });
  const plain = check("As it was written", (isOn) => {
    context.state.set("plain", isOn ? "1" : "");
    for (const card of gallery.cards.values()) card.draw();
  });
  plain.set(isPlain());
  refill(context.sidebar, plain.element);
  await gallery.load();
  return { update: (revision, changes) => gallery.update(changes), unmount: () => gallery.close() };
}

function draw(entry, body, isPlain) {
  body.className = "step-body text-box";
  body.tabIndex = 0;
  refill(body, entry.texts.map((text) => (isPlain ? el("pre", { class: "code" }, text) : el("div", { class: "prose" }, markdown(text)))),
    entry.cut ? el("p", { class: "muted small" }, "The text goes on; it is too long to be shown.") : null,
    el("p", { class: "muted small" }, format.time(entry.wall)));
}
