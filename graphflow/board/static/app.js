/** The board: shell, navigation, live updates; pages are modules of their own (parts/page.js). */

import { AddressState } from "./parts/address.js";
import { address, api, blob, send } from "./parts/api.js";
import { el, icon, refill } from "./parts/dom.js";
import { bytes } from "./parts/format.js";
import { ICONS } from "./parts/icons.js";
import { Keys } from "./parts/keys.js";
import { empty, failure } from "./parts/messages.js";
import { loadPages } from "./parts/page.js";
import { Runs } from "./parts/runs.js";
import { Theme, token } from "./parts/theme.js";

const POLL = 2000;
const POLL_WHILE_READING = 700;

const byId = (id) => document.getElementById(id);
const places = { main: byId("main"), controls: byId("controls"), nav: byId("nav"), status: byId("status"), side: byId("side") };

class App {
  constructor() {
    this.theme = new Theme();
    this.state = new AddressState((isOtherPage) => this.moved(isOtherPage));
    this.runs = new Runs(byId("runs"), this.state, this.theme, (text) => this.announce(text));
    this.theme.listeners.add(() => this.themed());
    this.selectListeners = new Set();
    this.stateListeners = new Set();
    this.visit = 0;
    this.keys = new Keys([
      ["?", "list the keys", () => this.keys.open()],
      ["/", "search on this page", () => places.main.querySelector("input[type=search]")?.focus()],
      ["r", "filter the runs", () => { this.side(true); this.runs.find.focus(); }],
      ["t", "light or dark", () => this.theme.toggle()],
      ["[ ]", "previous or next page", (event) => this.step(event.key === "]" ? 1 : -1)],
      ["Escape", "leave a field, close a dialog", () => this.side(false)],
    ]);
    this.wire();
  }

  wire() {
    refill(byId("menu"), icon(ICONS.menu));
    byId("menu").addEventListener("click", () => this.side(!places.side.classList.contains("is-open")));
    byId("shade").addEventListener("click", () => this.side(false));
    byId("theme").addEventListener("click", () => this.theme.toggle());
    byId("keys").addEventListener("click", () => this.keys.open());
    document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); places.main.focus(); });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.soon(0); });
    this.drawTheme();
  }

  side(isOpen) {
    places.side.classList.toggle("is-open", isOpen);
    byId("shade").hidden = !isOpen;
    byId("menu").setAttribute("aria-expanded", String(isOpen));
    if (isOpen && getComputedStyle(byId("menu")).display !== "none") this.runs.find.focus();
  }

  drawTheme() {
    refill(byId("theme"), icon(this.theme.name === "dark" ? ICONS.sun : ICONS.moon));
    byId("theme").title = this.theme.name === "dark" ? "Light (t)" : "Dark (t)";
  }

  themed() {
    this.drawTheme();
    this.runs.show();
    for (const one of this.context?.subscribed.theme ?? []) one(this.theme.name);
  }

  announce(text) {
    byId("announcer").textContent = text;
  }

  async start() {
    // The token in the address has become a cookie; it need not stay in the history.
    if (location.search) history.replaceState(null, "", `/${location.hash}`);
    this.state.seen = location.hash;
    try {
      this.info = await api("info");
      this.pages = await loadPages(this.info.pages);
    } catch (error) {
      failure(places.main, error);
      this.lost(error);
      setTimeout(() => this.start(), POLL);
      return;
    }
    this.revision = this.info.revision;
    byId("logname").textContent = this.info.name;
    byId("logname").title = this.info.name;
    document.title = `${this.info.name} · GraphFlow board`;
    this.runs.listeners.add(() => { for (const one of this.context?.subscribed.runs ?? []) one(); this.prefer(); });
    this.runs.take(this.info.runs);
    this.told();
    await this.show();
    this.soon();
  }

  prefer() {
    clearTimeout(this.preferring);
    if (!this.info.complete) this.preferring = setTimeout(() => send("prefer", { runs: this.runs.visible.slice(0, 100) }).catch(() => {}), 500);
  }

  // Live updates

  soon(delay = this.info?.complete === false ? POLL_WHILE_READING : POLL) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.poll(), delay);
  }

  async poll() {
    if (document.hidden || this.isPolling) return;
    this.isPolling = true;
    try {
      const changes = await api("poll", { since: this.revision });
      this.lost(null);
      if (changes.revision !== this.revision || changes.complete !== this.info.complete) {
        this.info = await api("info");
        this.revision = changes.revision;
        this.runs.take(this.info.runs);
        this.told();
        await this.changed(changes);
      } else if (changes.read_bytes !== this.info.read_bytes) {
        Object.assign(this.info, { bytes: changes.bytes, read_bytes: changes.read_bytes });
        this.told();
      }
    } catch (error) {
      this.lost(error);
    } finally {
      this.isPolling = false;
      this.soon();
    }
  }

  async changed(changes) {
    this.navigate();
    if (!this.shown) await this.show();
    else await this.shown.update?.(changes.revision, changes);
  }

  lost(error) {
    if (error && !this.banner) {
      this.banner = el("div", { class: "notice bad lost", role: "alert" }, icon(ICONS.warning),
        el("div", {}, error.status === 401 ? "This board was started anew. Open the address that it printed." : `${error.message} ${error.hint ?? ""}`));
      document.body.append(this.banner);
    } else if (!error && this.banner) {
      this.banner.remove();
      this.banner = null;
    }
    if (error) {
      places.status.dataset.state = "lost";
      places.status.textContent = "not connected";
    } else if (this.info) this.told();
  }

  told() {
    const { complete, bytes: size, read_bytes: read } = this.info;
    places.status.dataset.state = complete ? "live" : "reading";
    const text = complete ? "live" : `reading ${size ? Math.floor((100 * read) / size) : 0} % of ${bytes(size)}`;
    if (places.status.textContent !== text) places.status.textContent = text;
  }

  // Pages

  available() {
    return this.pages.filter(({ module }) => module.available(this.info));
  }

  navigate() {
    const links = this.available().map(({ name, module }) =>
      el("a", { href: this.state.link(name), data_page: name, aria_current: name === this.name ? "page" : null,
        onclick: (event) => { event.currentTarget.href = this.state.link(name); } }, module.title));
    const told = links.map((one) => `${one.dataset.page}${one.getAttribute("aria-current")}`).join();
    if (told === this.navigated) return;
    this.navigated = told;
    const focused = document.activeElement?.dataset?.page;
    refill(places.nav, links);
    if (focused) places.nav.querySelector(`[data-page="${focused}"]`)?.focus();
    const current = places.nav.querySelector("[aria-current]");
    if (current) places.nav.scrollLeft = current.offsetLeft - places.nav.clientWidth / 3;
  }

  step(by) {
    const names = this.available().map(({ name }) => name);
    if (names.length) this.state.open(names[(names.indexOf(this.name) + by + names.length) % names.length]);
  }

  moved(isOtherPage) {
    this.runs.refresh();
    for (const one of this.context?.subscribed.select ?? []) one(this.state.get("node"));
    if (isOtherPage) this.show();
    else for (const one of this.context?.subscribed.state ?? []) one();
  }

  async show() {
    const visit = ++this.visit;
    this.shown?.unmount?.();
    this.shown = null;
    this.context = null;
    this.keys.page = [];
    refill(places.main);
    refill(places.controls);
    places.main.scrollTop = 0;
    this.side(false);
    const listed = this.available();
    const wanted = listed.find(({ name }) => name === this.state.page)
      ?? (this.pages.some(({ name }) => name === this.state.page) ? null : listed[0]);
    if (!this.state.page && wanted) {
      this.state.page = wanted.name;
      this.state.write(false);
    }
    this.name = wanted?.name ?? this.state.page;
    this.navigate();
    if (!wanted) {
      empty(places.main, this.info);
      return;
    }
    const context = this.contextOf();
    this.context = context;
    try {
      const root = el("div", { class: `page page-${wanted.name}` });
      places.main.append(root);
      const shown = await wanted.module.mount(root, context);
      if (visit !== this.visit) shown.unmount?.();
      else this.shown = shown;
    } catch (error) {
      if (visit === this.visit) failure(places.main, error);
      console.warn(error);
    }
  }

  contextOf() {
    const subscribed = { runs: [], state: [], theme: [], select: [] };
    const { runs, state, theme } = this;
    return {
      subscribed, api, blob, send, token, url: address,
      info: () => this.info,
      runs: {
        get all() { return runs.all; },
        get visible() { return runs.visible; },
        color: (name) => runs.color(name),
        onChange: (act) => subscribed.runs.push(act),
      },
      state: {
        get: (key, fallback) => state.get(key, fallback),
        set: (key, value) => state.set(key, value),
        onChange: (act) => subscribed.state.push(act),
      },
      theme: () => theme.name,
      onTheme: (act) => subscribed.theme.push(act),
      help: (keys) => { this.keys.page = keys; },
      select: (node) => { state.set("node", node); for (const one of subscribed.select) one(node); },
      selected: () => state.get("node"),
      onSelect: (act) => subscribed.select.push(act),
      go: (page, values) => state.open(page, values),
      announce: (text) => this.announce(text),
      sidebar: places.controls,
      scroller: places.main,
    };
  }
}

new App().start();
