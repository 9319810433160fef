/** Light or dark: what the system prefers, until the user chooses. */

const KEY = "graphflow-board-theme";

export class Theme {
  constructor() {
    this.listeners = new Set();
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.system.addEventListener("change", () => this.apply());
    this.apply();
  }

  get name() {
    const chosen = stored();
    return chosen === "light" || chosen === "dark" ? chosen : this.system.matches ? "dark" : "light";
  }

  apply() {
    document.documentElement.dataset.theme = this.name;
    for (const one of this.listeners) one(this.name);
  }

  toggle() {
    try {
      localStorage.setItem(KEY, this.name === "dark" ? "light" : "dark");
    } catch {
      this.fallback = this.name;
    }
    this.apply();
  }
}

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // the browser keeps nothing for this site: the system's preference stays
  }
}

/** The present value of a variable of style.css. */
export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
