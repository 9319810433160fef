/** Requests of many cards, a few at a time; those of cards that scrolled away are dropped. */

const AT_ONCE = 4;

export class Loader {
  constructor() {
    this.waiting = [];
    this.running = 0;
  }

  /** Runs `work(signal)` when its turn comes; abort the signal to drop it. */
  add(signal, work) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ signal, work, resolve, reject });
      this.next();
    });
  }

  next() {
    while (this.running < AT_ONCE && this.waiting.length) {
      const { signal, work, resolve, reject } = this.waiting.shift();
      if (signal.aborted) {
        reject(new DOMException("dropped", "AbortError"));
        continue;
      }
      this.running += 1;
      work(signal).then(resolve, reject).finally(() => {
        this.running -= 1;
        this.next();
      });
    }
  }
}
