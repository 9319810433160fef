/** A table of many rows, sorted by what its heads are clicked for; only rows in sight have elements. */

import { el, refill } from "./dom.js";
import { VirtualList } from "./virtual.js";

export class SortTable {
  /**
   * `columns`: [{ key, name, value(row), show(row), isNumber }]; rows are numbers that these are asked with.
   * `choose(row)` is called for a click.
   */
  constructor(name, columns, choose, sorted) {
    Object.assign(this, { columns, choose, sorted, isDown: true, rows: [], chosen: () => false });
    this.head = el("div", { class: "sort-row sort-head", role: "row" });
    this.body = el("div", { role: "rowgroup" });
    this.root = el("div", { class: "table-box sorted", role: "table", aria_label: name, tabindex: "0" }, this.head, this.body);
    this.list = new VirtualList(this.root, this.body);
    this.drawHead();
  }

  close() {
    this.list.close();
  }

  drawHead() {
    refill(this.head, this.columns.map((column) => {
      const isHere = column.key === this.sorted;
      return el("div", { role: "columnheader", class: column.isNumber ? "number" : "", aria_sort: isHere ? (this.isDown ? "descending" : "ascending") : null },
        el("button", { onclick: () => this.sort(column) }, column.name, isHere ? (this.isDown ? " ↓" : " ↑") : ""));
    }));
  }

  sort(column) {
    if (this.sorted === column.key) this.isDown = !this.isDown;
    else [this.sorted, this.isDown] = [column.key, Boolean(column.isNumber)];
    this.drawHead();
    this.show(this.rows);
  }

  show(rows) {
    this.rows = rows;
    const column = this.columns.find(({ key }) => key === this.sorted);
    const sign = this.isDown ? -1 : 1;
    const ranked = [...rows].sort((a, b) => {
      const [one, other] = [column.value(a), column.value(b)];
      return sign * (column.isNumber ? one - other : String(one).localeCompare(other)) || a - b;
    });
    this.ranked = ranked;
    this.list.show(ranked.map((row) => ({ key: `${row} ${this.chosen(row)}`, height: 28, build: () => this.build(row) })));
  }

  build(row) {
    return el("button", { class: `sort-row ${this.chosen(row) ? "is-chosen" : ""}`, role: "row", onclick: () => this.choose(row) },
      this.columns.map((column) => el("span", { role: "cell", class: column.isNumber ? "number" : "ellipsis", title: column.isNumber ? null : String(column.value(row)) }, column.show(row))));
  }

  /** Scroll to a row. */
  reach(row) {
    const place = this.ranked?.indexOf(row) ?? -1;
    if (place >= 0) this.root.scrollTop = Math.max(0, place * 28 - this.root.clientHeight / 2);
  }
}
