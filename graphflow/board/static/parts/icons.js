/** Path data of 16 x 16 drawings, drawn with strokes. */

export const ICONS = {
  menu: "M2 4h12M2 8h12M2 12h12",
  sun: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13.5 9.6A5.8 5.8 0 0 1 6.4 2.5a5.8 5.8 0 1 0 7.1 7.1z",
  chevron: "M6 3.5 10.5 8 6 12.5",
  pin: "M5.5 1.8h5M6.5 1.8v4.4L4.4 9.4h7.2L9.5 6.2V1.8M8 9.4v4.8",
  expand: "M9.5 2H14v4.5M14 2 9.2 6.8M6.5 14H2V9.5M2 14l4.8-4.8",
  shrink: "M14 6.5H9.5V2M9.5 6.5 14 2M2 9.5h4.5V14M6.5 9.5 2 14",
  download: "M8 2v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11",
  picture: "M2 3h12v10H2zM2 11l3.5-3.5L8 10l2.5-3L14 10.5",
  close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  warning: "M8 2 1.5 13.5h13zM8 6.5v3.5M8 11.8v.2",
  chart: "M2 2v12h12M4.5 10.5l3-4 2.5 2L14 4",
  log: "M2.5 14V2M2.5 14h11M3 12C6 11.5 7 3.5 13.5 3.5",
  empty: "M2 2v12h12M5 11V9M8 11V6M11 11V8",
  graph: "M6 1.8h4v3.4H6zM1.8 10.8h4v3.4h-4zM10.2 10.8h4v3.4h-4zM8 5.2v2.6M3.8 10.8V7.8h8.4v3",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.3 10.3 14 14",
};
