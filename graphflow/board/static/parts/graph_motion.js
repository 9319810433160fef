/** Moving a drawing: dragging, zooming by the wheel and by two fingers, and bringing things into sight. */

const LEAST = 0.04;
const MOST = 3;
const MARGIN = 36;

/** What a drawing is moved by; it has `svg` and `group`, shows `view`, and is `size` large. */
export class Motion {
  constructor(root) {
    this.root = root;
    this.at = { x: 0, y: 0, scale: 1 };
  }

  place() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      const { x, y, scale } = this.at;
      this.group.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
      this.svg.classList.toggle("is-far", scale < 0.62);
      this.svg.classList.toggle("is-very-far", scale < 0.3);
      if (this.isCulled) this.cull();
      this.on.moved?.();
    });
  }

  resized() {
    if (!this.view) return;
    if (!this.wasSized) this.fit();
    else this.place();
  }

  /** Show all of the graph, or its upper part at a size that can be read. */
  fit(isWhole = false) {
    const { clientWidth: width, clientHeight: height } = this.root;
    if (!width || !this.view) return;
    this.wasSized = true;
    const whole = Math.min((width - 2 * MARGIN) / this.size.width, (height - 2 * MARGIN) / this.size.height);
    const readable = Math.max(whole, Math.min(0.7, (width - 2 * MARGIN) / this.size.width), width < 600 ? 0.6 : 0);
    const scale = Math.min(Math.max(isWhole ? whole : readable, LEAST), 1.15);
    this.at = { scale, x: (width - this.size.width * scale) / 2, y: Math.max(MARGIN, (height - this.size.height * scale) / 2) };
    if (!isWhole && this.size.height * scale > height) this.at.y = MARGIN;
    this.place();
  }

  /** Show what a pass did: the scope in which most of it is seen. */
  fitMarks() {
    const { boxes } = this.view;
    const marked = boxes.filter((box) => box.marks && !box.open);
    if (!marked.length) return false;
    const homes = new Map();
    for (const box of marked) homes.set(box.parent, (homes.get(box.parent) ?? 0) + (box.name === undefined ? 1 : 5));
    const home = [...homes].reduce((best, one) => (one[1] > best[1] ? one : best))[0];
    const rects = (home >= 0 && marked.length > 1 ? [boxes[home]] : marked.filter((box) => box.parent === home)).map((box) => box.rect);
    const left = Math.min(...rects.map(([x]) => x));
    const top = Math.min(...rects.map(([, y]) => y));
    const right = Math.max(...rects.map(([x, , width]) => x + width));
    const bottom = Math.max(...rects.map(([, y, , height]) => y + height));
    const { clientWidth: width, clientHeight: height } = this.root;
    const scale = Math.min(Math.max(Math.min((width - 2 * MARGIN) / (right - left), (height - 2 * MARGIN) / (bottom - top)), 0.55), 1.1);
    const first = marked.filter((box) => box.parent === home).reduce((best, box) => (box.rect[1] < best.rect[1] ? box : best));
    const [x, y] = middleOf(first);
    const isWide = (right - left) * scale > width;
    this.at = { scale, x: isWide ? width / 2 - x * scale : (width - (left + right) * scale) / 2,
      y: (bottom - top) * scale > height ? Math.min(height / 3 - y * scale, MARGIN - top * scale + 0) : (height - (top + bottom) * scale) / 2 };
    this.wasSized = true;
    this.place();
    return true;
  }

  /** Bring a box into the middle, readable. */
  centre(key, least = 0.8) {
    const box = this.box(key);
    if (!box) return;
    const { clientWidth: width, clientHeight: height } = this.root;
    const scale = Math.min(Math.max(this.at.scale, least), 1.5);
    const [x, y] = middleOf(box);
    this.at = { scale, x: width / 2 - x * scale, y: height / 2 - y * scale };
    if (this.size.height * scale > height) this.at.y = Math.max(Math.min(this.at.y, MARGIN), height - MARGIN - this.size.height * scale);
    this.place();
  }

  /** Move so that a box is in sight, if it is not. */
  reach(key) {
    const box = this.box(key);
    if (!box) return;
    const { clientWidth: width, clientHeight: height } = this.root;
    const [x, y] = middleOf(box).map((one, axis) => one * this.at.scale + (axis ? this.at.y : this.at.x));
    if (x < 40 || y < 40 || x > width - 40 || y > height - 40) this.centre(key, this.at.scale);
  }

  zoom(factor, x = this.root.clientWidth / 2, y = this.root.clientHeight / 2) {
    const scale = Math.min(Math.max(this.at.scale * factor, LEAST), MOST);
    const by = scale / this.at.scale;
    this.at = { scale, x: x - (x - this.at.x) * by, y: y - (y - this.at.y) * by };
    this.place();
  }

  wire() {
    const pointers = new Map();
    let last = null;
    const spot = () => {
      const all = [...pointers.values()];
      const x = all.reduce((sum, one) => sum + one.x, 0) / all.length;
      const y = all.reduce((sum, one) => sum + one.y, 0) / all.length;
      return { x, y, spread: all.length > 1 ? Math.hypot(all[0].x - all[1].x, all[0].y - all[1].y) : 0 };
    };
    const local = (event) => {
      const frame = this.svg.getBoundingClientRect();
      return { x: event.clientX - frame.left, y: event.clientY - frame.top };
    };
    this.svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { x, y } = local(event);
      const size = event.deltaMode === 1 ? 16 : 1;
      this.zoom(Math.exp(-event.deltaY * size * (event.ctrlKey ? 0.01 : 0.0016)), x, y);
    }, { passive: false });
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      pointers.set(event.pointerId, local(event));
      this.dragged = false;
      last = spot();
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (!pointers.has(event.pointerId)) return;
      pointers.set(event.pointerId, local(event));
      const now = spot();
      if (!this.dragged && Math.hypot(now.x - last.x, now.y - last.y) < 4 && !now.spread) return;
      if (!this.dragged) this.svg.setPointerCapture(event.pointerId);
      this.dragged = true;
      this.svg.classList.add("is-dragged");
      this.at.x += now.x - last.x;
      this.at.y += now.y - last.y;
      if (now.spread && last.spread) this.zoom(now.spread / last.spread, now.x, now.y);
      else this.place();
      last = now;
    });
    const up = (event) => {
      pointers.delete(event.pointerId);
      if (pointers.size) last = spot();
      else this.svg.classList.remove("is-dragged");
    };
    this.svg.addEventListener("pointerup", up);
    this.svg.addEventListener("pointercancel", up);
    this.svg.addEventListener("click", () => { if (!this.dragged) this.on.choose(null); this.dragged = false; });
  }
}

/** The middle of a box. */
export function middleOf({ rect: [x, y, width, height] }) {
  return [x + width / 2, y + height / 2];
}
