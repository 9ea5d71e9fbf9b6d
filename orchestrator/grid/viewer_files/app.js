"use strict";
// Ties the parts together: what an action does, what has to be drawn after it, and reading data.js again while drawing goes on.
const App = (() => {
  const $ = (id) => document.getElementById(id);
  const REREAD_MS = 4000;
  let matches = null, said = 0, remembered = null, waiting = 0;

  const say = (words) => { clearTimeout(said); $("toast").textContent = words; $("toast").classList.add("shown"); said = setTimeout(() => $("toast").classList.remove("shown"), 4000); };
  const pressed = (place, states) => { for (const [name, on] of Object.entries(states)) document.querySelector(`#${place} [data-do="${name}"]`)?.setAttribute("aria-pressed", String(Boolean(on))); };
  const theme = () => { document.documentElement.style.colorScheme = View.theme || ""; };

  /** The view's own place has to be one that is shown. */
  const settle = () => {
    Model.axes.forEach((axis, index) => {
      const shown = View.shown(index);
      if (!shown.includes(View.at[index])) View.at[index] = shown.find((value) => value > View.at[index]) ?? shown[shown.length - 1];
    });
  };

  const bottom = () => {
    const here = View.here();
    $("here-label").textContent = here ? here.label : "";
    $("here-prompt").textContent = here ? (here.state === "ready" ? Model.promptOf(here) : [here.state === "pending" ? "not made yet" : here.state, here.reason].filter(Boolean).join(": ")) : "";
    $("chosen-count").textContent = View.chosen.length ? String(View.chosen.length) : "";
    $("star-count").textContent = Notes.stars().toLocaleString("en");
    document.querySelector("footer").dataset.state = here ? here.state : "";
    pressed("grid ~ footer", { star: here && Notes.of(here).star, pin: here && View.pin === here.name, choose: here && View.chosen.includes(here.name) });
  };

  const filtered = () => {
    const found = Filter.matches(View.filter);
    matches = found.names;
    const here = matches ? Model.cells.filter((cell) => matches.has(cell.name)).length : 0;
    $("filter-said").hidden = !View.filter.trim();
    $("filter-said").classList.toggle("wrong", found.problems.length > 0);
    $("filter-said").textContent = found.problems.length ? `${found.problems.join("; ")}.` : matches ? `${here.toLocaleString("en")} of ${Model.cells.length.toLocaleString("en")} cells match${View.list || !View.pageAxes().length ? "" : "; List shows those of all pages together"}.` : "";
    $("filter").setAttribute("aria-invalid", String(found.problems.length > 0));
  };

  /** Lay out anew: axes, hidden values, filter or page changed. */
  const relayout = () => {
    settle();
    filtered();
    theme();
    $("list").setAttribute("aria-pressed", String(View.list));
    const hidden = View.hidden.reduce((sum, set) => sum + set.size, Number(View.hideBare));
    $("layout-open").textContent = hidden ? `Layout, ${hidden} hidden` : "Layout";
    Table.show(Layout.make(View, matches));
    $("size").value = Table.width();
    const layout = Table.layout();
    if (!Table.currentKey()) {  // what was looked at is not shown: the first that is
      const first = firstShown(layout);
      if (first) { Object.assign(View, first); Table.refresh(); }
    }
    Panels.pages(); Panels.refill();
    bottom();
    View.keep();
  };
  const firstShown = (layout) => {
    if (layout.form === "flow") return layout.cells.length ? layout.goTo(0) : null;
    for (let r = 0; r < layout.rows.length; r++) for (let c = 0; c < layout.columns.length; c++) if (may(layout.cellAt(r, c))) return layout.goTo(r, c);
    return null;
  };

  const redraw = () => { Table.refresh(); bottom(); View.keep(); };
  const marksChanged = () => {
    if (/\b(star|note|marked)\b/.test(View.filter)) relayout(); else redraw();
    Panels.refill();
    if (View.open) Large.draw();
    if (!Notes.isKept()) say(Notes.where());
  };

  const may = (cell) => cell && cell.state !== "left out" && (!matches || matches.has(cell.name));
  const go = (to) => {
    const page = View.pageAxes().some((axis) => to.at[axis] !== View.at[axis]) && !View.list;
    if (!to.bare) remembered = [...to.at];
    const turned = Table.layout().carrier === "page" && to.bare !== View.bare;
    Object.assign(View, to);
    if (page || turned) relayout(); else redraw();
    Table.reveal(!View.open);
    if (View.open) Large.moved();
  };

  /** Where a step leads: over left-out and filtered cells, ending at the edge; null = nowhere. */
  const towards = (down, right) => {
    const layout = Table.layout(), found = layout.find();
    if (found === null) return firstShown(layout);
    if (layout.form === "flow") {
      for (let index = found + right + down * Table.perRow(); index >= 0 && index < layout.cells.length; index += right + down * Table.perRow()) if (may(layout.cells[index])) return layout.goTo(index);
      return null;
    }
    for (let [r, c] = [found[0] + down, found[1] + right]; r >= 0 && c >= 0 && r < layout.rows.length && c < layout.columns.length; r += down, c += right) if (may(layout.cellAt(r, c))) return layout.goTo(r, c);
    return null;
  };
  const step = (down, right) => { const to = towards(down, right); if (to) go(to); };
  const cellOf = (to) => to && Model.byPlace.get(Model.nameOf(to.bare ? Model.bareOf(to.at) : to.at));
  const neighbours = () => [[-1, 0], [1, 0], [0, -1], [0, 1]].map(([down, right]) => cellOf(towards(down, right))).concat(Large.reference());
  const beside = (by) => cellOf(Table.layout().form === "flow" ? towards(0, by) : towards(by, 0));

  /** As far as that leads: to the edge of the row, of the grid, or a screen. */
  const far = (down, right, steps = Infinity) => { let moved = false; for (let count = 0; count < steps; count++) { const to = towards(down, right); if (!to) break; Object.assign(View, to); moved = true; } if (moved) go({ at: [...View.at], bare: View.bare }); };
  const page = (order, by) => {
    const axis = View.pageAxes()[order];
    if (axis === undefined || View.list) return;
    const shown = View.shown(axis), next = shown[shown.indexOf(View.at[axis]) + by];
    if (next !== undefined) toPage(axis, next);
  };
  const toPage = (axis, index) => {
    if (index === undefined) return;
    const at = [...View.at];
    at[axis] = index;
    go({ at, bare: View.bare && !(Table.layout().carrier === "page" && Model.axes[axis].lora) });
  };
  const goTo = (cell) => { if (!View.list) cell.at.forEach((index, axis) => { if (index !== null) View.hidden[axis].delete(index); }); go({ at: cell.at.map((index, axis) => index ?? View.at[axis]), bare: cell.bare }); relayout(); Table.reveal(false); };

  const position = () => {
    const layout = Table.layout(), found = layout.find();
    if (found === null) return [0, 0];
    const list = layout.form === "flow" ? layout.cells : layout.rows.flatMap((_, r) => layout.columns.map((_, c) => layout.cellAt(r, c)));
    const reachable = [...new Set(list.filter(may))];  // what is drawn without LoRA stands there once for every row
    return [reachable.indexOf(View.here()) + 1, reachable.length];
  };

  const bare = () => {
    if (!Model.hasBare) return say("This grid has nothing without LoRA");
    if (View.bare) return go({ at: remembered ? View.at.map((index, axis) => (Model.axes[axis].lora ? remembered[axis] : index)) : [...View.at], bare: false });
    if (!Model.byPlace.has(Model.nameOf(Model.bareOf(View.at)))) return say("There is nothing without LoRA at this place");
    return go({ at: [...View.at], bare: true });
  };
  const choose = () => {
    const here = View.here();
    if (!here) return;
    const at = View.chosen.indexOf(here.name);
    if (at >= 0) View.chosen.splice(at, 1);
    else if (View.chosen.length >= 4) say("Four can be compared; take one out with Space first");
    else View.chosen.push(here.name);
    redraw();
  };
  const pin = () => { const here = View.here(); if (!here) return; View.pin = View.pin === here.name ? null : here.name; redraw(); if (View.open) Large.draw(); else say(View.pin ? `Reference: ${here.label}. Hold V on another cell to see it` : "No reference"); };
  const swap = () => { const { x, y, x2, y2 } = View; Object.assign(View, y < 0 ? { y: x, x: -1, y2: x2, x2: -1 } : { x: y, y: x, x2: y2, y2: x2 }); relayout(); Table.reveal(false); };
  const setFilter = (text) => { View.filter = text; $("filter").value = text; relayout(); Table.reveal(false); };
  const zoomed = (factor) => { if (View.open) { Stage.zoomBy(factor); Large.draw(); } else resized(Table.width() * factor); };
  const resized = (size, point) => { Table.resize(size, point); $("size").value = View.size; View.keep(); };

  const actions = {
    left: () => step(0, -1), right: () => step(0, 1), up: () => step(-1, 0), down: () => step(1, 0), first: () => far(0, -1), last: () => far(0, 1), pageUp: () => far(-1, 0, Table.page()), pageDown: () => far(1, 0, Table.page()),
    veryFirst: () => { far(-1, 0); far(0, -1); }, veryLast: () => { far(1, 0); far(0, 1); },
    previous: () => page(0, -1), next: () => page(0, 1), previous2: () => page(1, -1), next2: () => page(1, 1),
    open: () => { if (!View.open) Large.open(); }, close: () => Large.close(),
    back: () => { if (View.open) Large.back(); else if (View.chosen.length) { View.chosen = []; redraw(); } else if (View.filter) setFilter(""); },
    bare, pin, choose, swap, compare: () => Large.compare(), mode: () => { if (View.compare) Large.mode(); else Large.compare(); },
    star: () => { const here = View.here(); if (here) { Notes.star(here); marksChanged(); } },
    note: () => { View.details = true; Large.open(); $("note")?.focus(); }, undo: () => { say(Notes.undo() ? "Taken back" : "Nothing to take back"); marksChanged(); },
    larger: () => zoomed(1.2), smaller: () => zoomed(1 / 1.2), zoom: () => { if (View.open) { Stage.next(); Large.draw(); } else if (View.size) { View.size = 0; relayout(); Table.reveal(false); } else resized(384); },
    details: () => { View.details = !View.details; if (View.open) Large.draw(); else if (View.details) Large.open(); View.keep(); },
    copyPrompt: () => { const here = View.here(); if (here) Details.copy(Model.promptOf(here), "the prompt"); },
    filter: () => { if (View.open) Large.close(); $("filter").focus(); $("filter").select(); }, list: () => { if (!View.open) { View.list = !View.list; relayout(); Table.reveal(false); } },
    layout: () => { if (!View.open) Panels.open("layout"); }, marks: () => Panels.open("marks"), help: () => Panels.open("help"),
    showAll: () => { View.hidden.forEach((set) => set.clear()); View.hideBare = false; relayout(); }, resetLayout: () => { View.reset(); relayout(); }, focus: () => Table.reveal(true),
  };
  const act = (name) => { actions[name](); };

  const states = () => {
    const planned = Model.cells.length - Model.count("left out");
    $("summary").textContent = `${Model.count("ready").toLocaleString("en")} of ${planned.toLocaleString("en")} pictures`;
    const made = ["failed", "pending", "left out"].filter((state) => Model.count(state));
    $("counts").replaceChildren(...made.map((state) => {
      const button = CellNode.node("button", { type: "button", class: "count " + state.replace(" ", "-"), title: `Filter by these` }, `${Model.count(state).toLocaleString("en")} ${state === "pending" ? "to come" : state}`);
      const words = `s:${state.replace(" ", "-")}`;
      button.addEventListener("click", () => setFilter(View.filter === words ? "" : words));
      return button;
    }));
    $("counts").hidden = !made.length;
    document.documentElement.style.setProperty("--done", String(planned ? (Model.count("ready") + Model.count("failed")) / planned : 1));
    document.body.classList.toggle("drawing", Model.count("pending") > 0);
  };

  /** Called by data.js each time it is read. */
  const taken = () => {
    // names of places are indexes: what is looked at is told in values before, and found again after
    if (Model.data) View.keepNow();
    if (Model.take(window.GRID) && View.at.length) View.read();
    states();
    clearTimeout(waiting);
    if (Model.count("pending")) waiting = setTimeout(reread, REREAD_MS);
  };
  const reread = () => {
    if (document.hidden) { waiting = setTimeout(reread, REREAD_MS); return; }
    const script = CellNode.node("script", { src: "data.js?" + Date.now() });
    script.addEventListener("load", () => { script.remove(); relayout(); if (View.open) Large.draw(); });
    script.addEventListener("error", () => { script.remove(); waiting = setTimeout(reread, REREAD_MS); });
    document.head.append(script);
  };

  const begin = () => {
    for (const element of document.querySelectorAll(".js")) element.hidden = false;
    taken();
    Notes.load();
    View.read();
    window.showGrid = taken;
    const frame = $("grid");
    Table.begin(frame); Large.begin(); Panels.begin(); Keys.begin();
    $("filter").value = View.filter; $("filter").placeholder = "Filter: " + Filter.examples();
    $("filter").addEventListener("input", () => { View.filter = $("filter").value; relayout(); });
    $("filter").addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); $("filter").blur(); Table.reveal(true); } });
    $("size").addEventListener("input", () => resized(Number($("size").value)));
    $("list").addEventListener("click", () => act("list"));
    for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => act(button.dataset.do));
    const pointed = (event) => { const element = event.target.closest(".cell"); const cell = element && Model.byPlace.get(element.dataset.name); if (!cell) return null; const layout = Table.layout(); return { cell, to: layout.form === "flow" ? layout.goTo(layout.cells.indexOf(cell)) : layout.goTo(...element.at) }; };
    frame.addEventListener("click", (event) => {
      const found = pointed(event);
      if (!found) return;
      go(found.to);
      if (event.ctrlKey || event.metaKey || event.shiftKey) choose();
      else if (found.cell.state !== "left out") Large.open();
    });
    frame.addEventListener("wheel", (event) => { if (event.ctrlKey) { event.preventDefault(); resized(Table.width() * Math.exp(-event.deltaY * 0.004), [event.clientX, event.clientY]); } }, { passive: false });
    window.addEventListener("storage", (event) => { if (event.key === Notes.slot()) { Notes.load(); marksChanged(); } });
    window.addEventListener("hashchange", () => { View.read(); $("filter").value = View.filter; relayout(); Table.reveal(false); });
    window.addEventListener("pagehide", View.keepNow);
    const { open, compare } = View;
    relayout();
    Table.reveal(false);
    if (open || compare) Large.open();
  };

  return { begin, say, pressed, theme, relayout, redraw, marksChanged, act, neighbours, beside, toPage, goTo, position, setFilter };
})();
App.begin();
