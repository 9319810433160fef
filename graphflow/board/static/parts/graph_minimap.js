/** The small picture of the whole graph in the corner. */

import { el } from "./dom.js";

/** A small picture of the whole, with what is in sight; clicking goes there. */
export class Minimap {
  constructor(root, scene) {
    this.scene = scene;
    this.canvas = el("canvas", { class: "minimap", aria_hidden: "true" });
    root.append(this.canvas);
    const go = (event) => {
      if (!event.buttons && event.type !== "click") return;
      const frame = this.canvas.getBoundingClientRect();
      const { at, root: stage } = this.scene;
      at.x = stage.clientWidth / 2 - ((event.clientX - frame.left - this.left) / this.scale) * at.scale;
      at.y = stage.clientHeight / 2 - ((event.clientY - frame.top - this.top) / this.scale) * at.scale;
      this.scene.place();
    };
    this.canvas.addEventListener("pointerdown", go);
    this.canvas.addEventListener("pointermove", go);
  }

  draw() {
    const { view, size, at, root } = this.scene;
    if (!view || !size.width) return;
    const [width, height] = [150, 110];
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== width * ratio) Object.assign(this.canvas, { width: width * ratio, height: height * ratio });
    const isAll = at.x >= 0 && at.y >= 0 && at.x + size.width * at.scale <= root.clientWidth && at.y + size.height * at.scale <= root.clientHeight;
    this.canvas.hidden = isAll;
    if (isAll) return;
    this.scale = Math.min((width - 8) / size.width, (height - 8) / size.height);
    this.left = (width - size.width * this.scale) / 2;
    this.top = (height - size.height * this.scale) / 2;
    const pen = this.canvas.getContext("2d");
    const style = getComputedStyle(this.canvas);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    for (const box of view.boxes) {
      const [x, y, w, h] = box.rect.map((one) => one * this.scale);
      pen.fillStyle = style.getPropertyValue(box.open ? "--sunken" : "--line-strong");
      pen.globalAlpha = box.open ? 1 : 0.6;
      pen.fillRect(this.left + x, this.top + y, Math.max(w, 1), Math.max(h, 1));
    }
    pen.globalAlpha = 1;
    pen.strokeStyle = style.getPropertyValue("--accent");
    pen.lineWidth = 1.5;
    pen.strokeRect(this.left + (-at.x / at.scale) * this.scale, this.top + (-at.y / at.scale) * this.scale,
      (root.clientWidth / at.scale) * this.scale, (root.clientHeight / at.scale) * this.scale);
  }
}
