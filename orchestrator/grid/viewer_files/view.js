"use strict";
// What is looked at and how: one object, kept in the address. Axes and values go there by name, so that a link still
// means the same when the grid has grown.
const View = (() => {
  const PLACES = ["x", "y", "x2", "y2"];
  const view = { at: [], bare: false, x: -1, y: -1, x2: -1, y2: -1, hidden: [], hideBare: false, size: 0, filter: "", list: false, open: false,
    details: false, pin: null, chosen: [], compare: null, active: 0, mode: "side", theme: "", keys: true };
  let timer = 0;

  /** Where everything lies as the grid was drawn. */
  const reset = () => {
    const { axes, data } = Model;
    Object.assign(view, { x: data.x, y: data.y, x2: -1, y2: -1, hidden: axes.map(() => new Set()), hideBare: false });
    // A single column of rows is better a list that fills the width.
    if (view.x < 0 && view.y >= 0) Object.assign(view, { x: view.y, y: -1 });
    if (view.x >= 0 && view.y >= 0 && axes[view.x].values.length < 2 && axes[view.y].values.length > 1) Object.assign(view, { x: view.y, y: -1 });
    else if (view.y >= 0 && axes[view.y].values.length < 2) view.y = -1;
  };

  const parse = (text) => { try { return JSON.parse(text); } catch { return null; } };
  const axisNamed = (name) => Model.axes.findIndex((axis) => axis.name === name);

  /** Read the address. What it names and the grid does not have is left as it was drawn. */
  const read = () => {
    const words = new URLSearchParams(location.hash.slice(1));
    reset();
    if (PLACES.some((place) => words.has(place))) {
      const taken = new Set();
      for (const place of PLACES) {
        const index = words.has(place) ? axisNamed(words.get(place)) : -1;
        view[place] = taken.has(index) ? -1 : index;
        taken.add(index);
      }
    }
    for (const [name, values] of Object.entries(parse(words.get("hide")) || {})) {
      const index = axisNamed(name);
      if (index < 0 || !Array.isArray(values)) continue;
      const hidden = new Set(values.map((value) => Model.axes[index].values.indexOf(value)).filter((value) => value >= 0));
      if (hidden.size < Model.axes[index].values.length) view.hidden[index] = hidden;
    }
    const placed = (text) => { const at = Model.fromValues(parse(text)); return at && Model.byPlace.has(Model.nameOf(at)) ? at : null; };
    const at = placed(words.get("at"));
    const first = Model.cells.find((cell) => !cell.bare && cell.state !== "left out") || Model.cells[0];
    view.at = [...(first ? first.at : [])].map((index) => index ?? 0);
    view.bare = Boolean(first && first.bare) || words.has("bare");
    if (at) view.at = at.map((index, axis) => index ?? view.at[axis]);
    const pin = placed(words.get("pin"));
    view.pin = pin && Model.nameOf(pin);
    const several = (name) => (parse(words.get(name)) || []).map((values) => placed(JSON.stringify(values))).filter(Boolean).map(Model.nameOf).slice(0, 4);
    view.chosen = several("chosen");
    view.compare = words.has("compare") ? several("compare") : null;
    if (view.compare && view.compare.length < 2) view.compare = null;
    view.active = view.compare ? view.compare.length - 1 : 0;
    view.mode = ["side", "wipe", "difference"].includes(words.get("mode")) ? words.get("mode") : "side";
    const size = Number(words.get("size"));
    view.size = size ? Math.min(640, Math.max(40, Math.round(size))) : 0;  // 0: as large as all columns fit
    view.filter = (words.get("q") || "").slice(0, 1000);
    view.theme = ["light", "dark"].includes(words.get("theme")) ? words.get("theme") : "";
    for (const name of ["list", "open", "details"]) view[name] = words.has(name);
    view.hideBare = words.has("nobare");
    view.keys = !words.has("nokeys");
  };

  const write = () => {
    timer = 0;
    const words = new URLSearchParams();
    const values = (name) => Model.toValues(Model.byPlace.get(name).at);
    for (const place of PLACES) if (view[place] >= 0) words.set(place, Model.axes[view[place]].name);
    const hide = Object.fromEntries(view.hidden.map((set, index) => [Model.axes[index].name, [...set].map((value) => Model.axes[index].values[value])]).filter(([, list]) => list.length));
    if (Object.keys(hide).length) words.set("hide", JSON.stringify(hide));
    words.set("at", JSON.stringify(Model.toValues(view.at)));
    if (view.pin) words.set("pin", JSON.stringify(values(view.pin)));
    if (view.chosen.length) words.set("chosen", JSON.stringify(view.chosen.map(values)));
    if (view.compare) words.set("compare", JSON.stringify(view.compare.map(values)));
    if (view.mode !== "side") words.set("mode", view.mode);
    if (view.size) words.set("size", view.size);
    if (view.filter) words.set("q", view.filter);
    if (view.theme) words.set("theme", view.theme);
    for (const [name, on] of [["bare", view.bare], ["list", view.list], ["open", view.open], ["details", view.details], ["nobare", view.hideBare], ["nokeys", !view.keys]]) if (on) words.set(name, "1");
    try { history.replaceState(null, "", "#" + words); } catch { keep(); }  // Safari allows a hundred in half a minute
  };
  /** Keep the view in the address. Not pushState: Back must leave the page, not replay every key. */
  const keep = () => { if (!timer) timer = setTimeout(write, 150); };
  const keepNow = () => { clearTimeout(timer); write(); };

  /** Put an axis at a place ("x", "y", "x2", "y2", "page"); what lay there takes the place it leaves. */
  const put = (axis, place) => {
    const from = PLACES.find((one) => view[one] === axis) || "page";
    if (place !== "page") {
      const other = view[place];
      if (from !== "page") view[from] = other;
      view[place] = axis;
    } else if (from !== "page") view[from] = -1;
    // An outer place without the inner one would be the inner one.
    for (const [inner, outer] of [["x", "x2"], ["y", "y2"]]) if (view[inner] < 0 && view[outer] >= 0) { view[inner] = view[outer]; view[outer] = -1; }
  };

  const placeOf = (axis) => PLACES.find((place) => view[place] === axis) || "page";
  const shown = (axis) => Model.axes[axis].values.map((_, index) => index).filter((index) => !view.hidden[axis].has(index));
  /** The axes that are pages: not on the sheet, with more than one value to choose from. */
  const pageAxes = () => Model.axes.map((_, index) => index).filter((index) => placeOf(index) === "page" && Model.axes[index].values.length > 1);
  /** The cell that is looked at; undefined where the grid has none. */
  const here = () => Model.byPlace.get(Model.nameOf(view.bare ? Model.bareOf(view.at) : view.at));

  return Object.assign(view, { PLACES, reset, read, keep, keepNow, put, placeOf, shown, pageAxes, here });
})();
