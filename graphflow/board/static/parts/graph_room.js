/** Where in a drawing there is room for labels. */

/** Rectangles that are in use, found by the squares in which they lie. */
export class Taken {
  constructor() {
    this.squares = new Map();
  }

  keys([x, y, width, height]) {
    const found = [];
    for (let row = Math.floor(y / 120); row <= (y + height) / 120; row += 1) {
      for (let column = Math.floor(x / 120); column <= (x + width) / 120; column += 1) found.push(`${column} ${row}`);
    }
    return found;
  }

  add(spot) {
    for (const key of this.keys(spot)) {
      if (!this.squares.has(key)) this.squares.set(key, []);
      this.squares.get(key).push(spot);
    }
  }

  meets([x, y, width, height]) {
    return this.keys([x, y, width, height]).some((key) => (this.squares.get(key) ?? []).some((one) =>
      x < one[0] + one[2] && one[0] < x + width && y < one[1] + one[3] && one[1] < y + height));
  }
}
