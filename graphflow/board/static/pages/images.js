/** Images, with a slider through the steps. */

import { el, refill } from "../parts/dom.js";
import * as format from "../parts/format.js";
import { Gallery } from "../parts/gallery.js";
import { ICONS } from "../parts/icons.js";
import { check, slider } from "../parts/controls.js";
import { StepCard } from "../parts/stepcard.js";

export const title = "Images";
export const available = (info) => info.kinds.images.length > 0;

const MOST = 24;

export async function mount(root, context) {
  const isSmooth = () => context.state.get("blur") === "1";
  const size = () => Number(context.state.get("size", "240")) || 240;
  const gallery = new Gallery(root, context, {
    kind: "images", perRun: true, isTight: true, height: size() + 100, width: size() + 32,
    make: (item, owner) => new StepCard(item, owner, context, {
      fetch: async (signal) => (await context.api("images", { run: item.run, tag: item.tag }, { signal })).images,
      draw: (entry, body) => draw(entry, body, item, context, isSmooth()),
      tools: [[ICONS.download, "Save the image", (entry) => el("a", { href: place(context, item, entry, 0), download: "" }).click()]],
    }),
  });
  const zoom = slider("Size", { min: 120, max: 640, step: 20, write: (at) => `${at} px` }, (at) => {
    context.state.set("size", at === 240 ? "" : String(at));
    gallery.height = at + 100;
    gallery.width = at + 32;
    gallery.layout();
  });
  const blur = check("Smooth when enlarged", (isOn) => {
    context.state.set("blur", isOn ? "1" : "");
    for (const card of gallery.cards.values()) card.draw();
  });
  zoom.set(size());
  blur.set(isSmooth());
  refill(context.sidebar, zoom.element, blur.element);
  context.help([["← →", "on a slider: the step before or after"]]);
  await gallery.load();
  return { update: (revision, changes) => gallery.update(changes), unmount: () => gallery.close() };
}

function place(context, item, entry, which) {
  return context.url("image", { run: item.run, tag: item.tag, index: entry.index, which });
}

function draw(entry, body, item, context, isSmooth) {
  const count = Math.min(entry.count, MOST);
  const pictures = Array.from({ length: count }, (_, which) => {
    const image = el("img", {
      src: place(context, item, entry, which), class: isSmooth ? "smooth" : null, draggable: "false",
      alt: `${item.tag}, step ${entry.step}, ${entry.width} by ${entry.height} pixels${entry.count > 1 ? `, image ${which + 1} of ${entry.count}` : ""}`,
      onerror: (event) => event.currentTarget.replaceWith(el("span", { class: "muted small" }, "not an image that is shown")),
    });
    return image;
  });
  body.className = "step-body picture-box";
  refill(body, el("div", { class: count > 1 ? "picture many" : "picture" }, pictures),
    el("div", { class: "muted small" }, `${format.count(entry.width)} × ${format.count(entry.height)}${entry.count > 1 ? ` · ${entry.count} images${entry.count > count ? `, ${count} shown` : ""}` : ""}`));
}
