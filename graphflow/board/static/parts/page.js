/**
 * What a page of the board is, and what it may use.
 *
 * A page is a module pages/NAME.js; the server lists those that are there, `ORDER` says in which order they
 * are shown. It exports
 *
 *   title        the name in the navigation
 *   icon         path data of a 16 x 16 drawing (optional)
 *   available(info) -> boolean
 *                whether the log directory has something for it; `info` is what /api/info answers
 *   async mount(root, context) -> { update(revision, changes), unmount() }
 *                builds the page in the empty element `root`; `update` is called when something was logged,
 *                `unmount` before another page takes its place (remove listeners and timers there; `root`
 *                and `context.sidebar` are emptied by the caller, subscriptions made through the context end
 *                by themselves)
 *
 * The context
 *
 *   info()                       the newest answer of /api/info: { name, revision, complete, bytes, read_bytes,
 *                                kinds: {kind: [run names]}, sides: {"graph": [run names], ...}, runs, notices, ... }
 *   api(path, params)            GET /api/PATH as JSON; params: {key: value | [values]}; undefined ones are left
 *                                out. Throws an Error with the server's sentence in .message, .hint and .status
 *   send(path, body)             POST /api/PATH
 *   url(path, params)            the same address as a text, for <img src> and download links
 *   blob(path, params)           the same as a Blob
 *   runs.all                     [{ name, points, bytes, read_bytes, side_files, kinds, notices, changed }]
 *   runs.visible                 names of the runs that are ticked, in order
 *   runs.color(name)             the run's colour in the present theme, "#rrggbb"
 *   runs.onChange(fn)            called when the ticks or the list change
 *   state.get(key, fallback)     texts of the address' #/page?key=value; they belong to this page
 *   state.set(key, value)        "" or undefined removes it; does not reload the page
 *   state.onChange(fn)           called when the user goes back or forward
 *   theme()                      "light" or "dark"
 *   onTheme(fn)                  called when it changes
 *   token(name)                  a CSS variable's present value for canvases: token("accent"), "ink", "muted", ...
 *   help(keys)                   keyboard of the page: [[key, what it does, function(event)]]; `?` lists them
 *   select(node), selected()     the node's name that all pages speak of, "" for none; it is in the address
 *   onSelect(fn)                 called with the new name
 *   go(page, state)              opens another page: go("scalars", { tags: "gradients.norm/" + node })
 *   announce(text)               says it to screen readers
 *   sidebar                      an element below the list of runs, for the page's own controls
 *
 * On the server a module graphflow/board/api_*.py has `ROUTES`, a list of starlette Routes below /api/ whose
 * handlers are plain functions (they run in threads): the LogDirectory is `request.app.state.log`, and
 * `graphflow.board.answers` has `json_answer(content)`, `text_param(request, name)`, `int_param(...)`.
 * Every GraphFlowError becomes {"error", "hint"} with status 404 (NotLogged), 400 or 422 (FileFormatError).
 * A module may have `extra_info(log) -> dict`, which is merged into the answer of /api/info.
 * server.py names these modules in `MODULES`.
 *
 * House rules: names come from files, so build elements with `el` of dom.js (text nodes only; the policy forbids
 * innerHTML, inline styles and scripts; element.style.x = y is allowed); colours come from the variables in
 * style.css; everything that is clicked is a <button>, <a> or <input> with a name.
 */

/** Pages in the order of the navigation; others follow by name. */
export const ORDER = [
  "overview", "scalars", "histograms", "images", "text", "pr_curves", "hparams",
  "graph", "memory", "profile", "chip",
];

/** Modules of the pages that the server has, in the order of the navigation: [{ name, module }]. */
export async function loadPages(names) {
  const place = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  const sorted = [...names].sort((a, b) => place(a) - place(b) || a.localeCompare(b));
  const loaded = await Promise.allSettled(sorted.map((name) => import(`../pages/${name}.js`)));
  return sorted.flatMap((name, index) => {
    if (loaded[index].status === "fulfilled") return [{ name, module: loaded[index].value }];
    console.error(`the page ${name} cannot be loaded`, loaded[index].reason);
    return [];
  });
}
