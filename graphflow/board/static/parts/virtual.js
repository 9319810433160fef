/** A list of which only what is in sight has elements, so that 100,000 rows scroll like ten. */

export class VirtualList {
  /**
   * `scroller` scrolls, `box` (inside of it, or the same) holds the rows. `margin` is how many pixels beyond
   * the sight are kept ready.
   */
  constructor(scroller, box, margin = 400) {
    Object.assign(this, { scroller, margin, rows: [], tops: [0], live: new Map() });
    this.box = document.createElement("div");
    this.box.className = "virtual";
    box.append(this.box);
    this.onScroll = () => this.draw();
    scroller.addEventListener("scroll", this.onScroll, { passive: true });
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(scroller);
  }

  /** Rows of { key, height, build() -> element, drop(element)? }; those with a known key keep their element. */
  show(rows) {
    this.rows = rows;
    this.tops = new Array(rows.length + 1);
    this.tops[0] = 0;
    for (let place = 0; place < rows.length; place += 1) this.tops[place + 1] = this.tops[place] + rows[place].height;
    this.box.style.height = `${this.tops[rows.length]}px`;
    this.draw();
  }

  at(pixel) {
    let [low, high] = [0, this.rows.length];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.tops[middle] <= pixel) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  draw() {
    const offset = this.box.getBoundingClientRect().top - this.scroller.getBoundingClientRect().top;
    const first = this.at(-offset - this.margin);
    const last = this.at(-offset + this.scroller.clientHeight + this.margin);
    const wanted = new Map();
    for (let place = first; place <= last && place < this.rows.length; place += 1) wanted.set(this.rows[place].key, place);
    for (const [key, { element, row }] of this.live) {
      if (wanted.has(key)) continue;
      row.drop?.(element);
      element.remove();
      this.live.delete(key);
    }
    let before = null;
    for (const [key, place] of wanted) {
      const row = this.rows[place];
      let entry = this.live.get(key);
      if (!entry) {
        entry = { element: row.build(), row };
        this.live.set(key, entry);
      }
      entry.row = row;
      entry.element.style.top = `${this.tops[place]}px`;
      entry.element.style.height = `${row.height}px`;
      // The order of the elements is that of the keyboard.
      const next = before ? before.nextSibling : this.box.firstChild;
      if (entry.element !== next) this.box.insertBefore(entry.element, next);
      before = entry.element;
    }
  }

  /** The element of a row, if it is in sight. */
  element(place) {
    return this.live.get(this.rows[place]?.key)?.element;
  }

  close() {
    this.scroller.removeEventListener("scroll", this.onScroll);
    this.watch.disconnect();
    for (const { element, row } of this.live.values()) row.drop?.(element);
    this.live.clear();
    this.box.remove();
  }
}
