/** The style of the pages on graphs, memory, profiles and chips: loaded once, when one of them is opened. */

let loading;

export function useStyle() {
  loading ??= new Promise((done) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = new URL("./graph.css", import.meta.url).href;
    link.addEventListener("load", done, { once: true });
    link.addEventListener("error", done, { once: true });
    document.head.append(link);
  });
  return loading;
}
