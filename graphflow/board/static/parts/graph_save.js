/** Saves the drawing of a graph as an SVG file of its own. */

import { fileName, saveText } from "./save.js";

const KEPT = ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-family", "font-size", "font-weight", "text-anchor", "opacity", "display", "paint-order"];

export function saveScene(scene, name) {
  if (!scene.view) return;
  const copy = scene.svg.cloneNode(true);
  const [originals, copies] = [scene.svg.querySelectorAll("*"), copy.querySelectorAll("*")];
  originals.forEach((one, place) => {
    const style = getComputedStyle(one);
    for (const key of KEPT) copies[place].style.setProperty(key, style.getPropertyValue(key));
    if (copies[place].style.display === "none" && one.style.display === "none") copies[place].style.removeProperty("display");
    copies[place].removeAttribute("class");
  });
  const group = copy.querySelector("defs + g");
  group.setAttribute("transform", "translate(20 20)");
  const [width, height] = [scene.size.width + 40, scene.size.height + 40];
  for (const [key, value] of Object.entries({ xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}` })) copy.setAttribute(key, value);
  copy.style.background = getComputedStyle(scene.root).backgroundColor;
  saveText(fileName(name, "svg"), new XMLSerializer().serializeToString(copy), "image/svg+xml");
}
