/** The state in the address: #/page?key=value. Some keys belong to all pages, the others to the one shown. */

const SHARED = ["find-runs", "only", "hide", "node", "run"];

/** decodeURIComponent for what users may have written: what is no code stays as it is. */
export function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The names of a list that `encodedNames` wrote. */
export function namesIn(text) {
  return text ? text.split(",").map(decoded) : [];
}

/** Names as a text for the address. */
export function encodedNames(names) {
  return [...names].map(encodeURIComponent).join(",");
}

export class AddressState {
  constructor(changed) {
    this.changed = changed;
    this.read();
    window.addEventListener("hashchange", () => this.moved());
    window.addEventListener("popstate", () => this.moved());
  }

  read() {
    this.seen = location.hash;
    const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
    this.page = decoded(path);
    this.values = new URLSearchParams(query);
  }

  moved() {
    if (location.hash === this.seen) return;
    const before = this.page;
    this.read();
    this.changed(before !== this.page);
  }

  get(key, fallback = "") {
    return this.values.get(key) ?? fallback;
  }

  set(key, value) {
    if (value === undefined || value === null || value === "") this.values.delete(key);
    else this.values.set(key, String(value));
    this.write(false);
  }

  /** The address of a page, with what belongs to all pages and this state. */
  link(page, state = {}) {
    const query = new URLSearchParams();
    for (const key of SHARED) if (this.values.has(key)) query.set(key, this.values.get(key));
    for (const [key, value] of Object.entries(state)) query.set(key, value);
    const text = query.toString();
    return `#/${page}${text ? `?${text}` : ""}`;
  }

  open(page, state = {}) {
    if (this.link(page, state) !== location.hash) location.hash = this.link(page, state);
  }

  write(isStep) {
    const text = this.values.toString();
    const hash = `#/${this.page}${text ? `?${text}` : ""}`;
    if (hash === location.hash) return;
    history[isStep ? "pushState" : "replaceState"](null, "", `/${hash}`);
    this.seen = location.hash;
  }
}
