"use strict";
// One cell in full size, or two to four beside each other. Arrows go on through the grid; zoom and place stay.
const Large = (() => {
  const $ = (id) => document.getElementById(id);
  let flipped = null;   // the cell shown while a key is held
  let within = false;   // whether comparing began in full size

  const cells = () => (View.compare ? View.compare.map((name) => Model.byPlace.get(name)) : [View.here()]);

  const draw = () => {
    const here = View.here();
    if (!here) return;
    const all = cells().map((cell, index) => (index === View.active && flipped ? flipped : cell));
    const labels = all.map((cell) => (cell === flipped ? "held: " : View.pin === cell.name ? "reference: " : "") + cell.label);
    Stage.show(all, labels, View.active, View.mode);
    const title = flipped || here;
    $("large-label").textContent = View.compare ? `${View.compare.length} compared` + (View.mode === "side" ? "" : `, ${View.mode}`) : (flipped ? "held: " : "") + title.label;
    const [index, count] = App.position();
    $("large-place").textContent = View.compare ? "arrows change the framed one" : count ? `${index.toLocaleString("en")} / ${count.toLocaleString("en")}` : "";
    $("large-marks").replaceChildren(...(View.compare ? [] : CellNode.marks(title)));
    $("panes").classList.toggle("held", Boolean(flipped));
    $("mode").hidden = !View.compare;
    $("mode").textContent = { side: "side by side", wipe: "wipe", difference: "difference" }[View.mode];
    document.querySelector(".wipe").hidden = !View.compare || View.mode !== "wipe";
    $("details").hidden = !View.details;
    if (View.details) Details.fill($("details"), here);
    App.pressed("large", { pin: View.pin === here.name, star: Notes.of(here).star, bare: here.bare, details: View.details, compare: Boolean(View.compare) });
    label();
    preload();
  };
  const label = () => { document.querySelector('#large [data-do="zoom"]').textContent = Stage.words() || "fits"; };

  /** The neighbours' files, so that moving to them shows no gap. */
  const preload = () => { for (const cell of App.neighbours()) if (cell && cell.state === "ready") new Image().src = cell.picture; };

  const open = () => {
    if (!View.here()) return;
    View.open = true;
    if (!$("large").open) $("large").showModal();
    draw();
    $("panes").focus();
    View.keep();
  };
  const close = () => {
    const note = $("large").querySelector("#note");
    if (note) note.dispatchEvent(new Event("change"));
    View.open = false; View.compare = null; View.active = 0; flipped = null;
    if ($("large").open) $("large").close();
    Stage.clear(); Stage.reset();
    App.redraw();
    Table.reveal(true);
  };

  /** Back to where one came from: from comparing to the single picture, if it began there, else to the grid. */
  const back = () => {
    if (!View.compare || !within) { close(); return; }
    View.compare = null; View.active = 0;
    draw(); View.keep();
  };

  /** The cell that V shows: the pinned one, else the same place without LoRA. */
  const reference = () => {
    const pinned = View.pin && Model.byPlace.get(View.pin);
    return pinned || (Model.hasBare ? Model.byPlace.get(Model.nameOf(Model.bareOf(View.at))) : null);
  };

  /** Show another cell in this one's place while a key is held; null ends it. */
  const flip = (cell) => {
    if (View.open) { if (flipped !== (cell || null)) { flipped = cell || null; draw(); } } else Table.flipTo(cell ? View.here()?.name : null, cell);
  };

  /** Compare the chosen cells, else this one with the reference. In compare: swap the first two. */
  const compare = () => {
    if (View.compare) {
      View.compare = [View.compare[1], View.compare[0], ...View.compare.slice(2)];
      View.active = View.active < 2 ? 1 - View.active : View.active;
      draw(); View.keep();
      return;
    }
    const here = View.here();
    const other = reference();
    const names = View.chosen.length >= 2 ? [...View.chosen] : [View.chosen.find((name) => name !== here?.name) || (other && other !== here ? other.name : null), here?.name].filter(Boolean);
    if (names.length < 2) { App.say("Choose two to four cells with Space, or pin a reference with B"); return; }
    within = View.open;
    View.compare = names;
    View.active = Math.max(0, names.includes(here?.name) ? names.indexOf(here.name) : names.length - 1);
    activate(View.active);
    open();
  };

  /** Make a pane the one that arrows change. */
  const activate = (index) => {
    if (!View.compare || index < 0 || index >= View.compare.length) return;
    View.active = index;
    const cell = Model.byPlace.get(View.compare[index]);
    View.bare = cell.bare;
    View.at = cell.at.map((value, axis) => value ?? View.at[axis]);
    if (View.open) { App.redraw(); draw(); }
  };

  const mode = () => { View.mode = { side: "wipe", wipe: "difference", difference: "side" }[View.mode]; draw(); View.keep(); };

  /** The view moved to another cell: the active pane follows. */
  const moved = () => { if (View.compare) View.compare[View.active] = View.here().name; flipped = null; draw(); };

  const begin = () => {
    Stage.begin($("panes"), (way) => App.act(way), (index) => { if (View.compare && View.mode === "side" && index !== View.active) activate(index); }, label);
    $("wipe").addEventListener("input", () => Stage.wipe($("wipe").value));
    $("large").addEventListener("close", () => { if (View.open) close(); });
    const button = $("flip");
    button.addEventListener("pointerdown", () => flip(reference()));
    for (const name of ["pointerup", "pointerleave", "pointercancel"]) button.addEventListener(name, () => flip(null));
  };

  return { begin, draw, open, close, back, flip, reference, compare, activate, mode, moved };
})();
