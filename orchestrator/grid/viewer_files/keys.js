"use strict";
// The keyboard. Letters can be switched off; keys of input methods, of the browser and of text fields are left alone.
const Keys = (() => {
  const LIST = [
    ["← → ↑ ↓", "one cell further, also in full size; left-out cells are passed over"],
    ["Home End", "first, last cell of the row; with Ctrl of the grid"],
    ["PgUp PgDn", "one screen up, down"],
    ["Enter Esc", "full size, back to the same cell"],
    ["[ ]", "previous, next page (seed, prompt …); also , and ."],
    ["{ }", "the same for the second axis of pages"],
    ["0", "the same place without LoRA, and back"],
    ["B hold V", "pin a reference, look at it while V is held (without one: the same place without LoRA)"],
    ["hold A hold D", "the cell above, below (the epoch before, after) while held"],
    ["Space", "choose for comparing, up to four"],
    ["C M", "compare; in compare: swap, and side by side, wipe, difference"],
    ["1 2 3 4", "in compare: the picture that arrows change"],
    ["+ - Z", "larger, smaller; in full size: fits, every pixel, twice"],
    ["K N U", "star, note, undo"],
    ["P I", "copy the prompt, how it was made"],
    ["F G", "filter, all matching cells in one list"],
    ["L T S", "layout, swap rows and columns, stars and notes"],
    ["?", "this list"],
  ];
  const NAMED = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", Home: "first", End: "last", PageUp: "pageUp", PageDown: "pageDown", Escape: "back", Enter: "open" };
  const SINGLE = { "[": "previous", "]": "next", ",": "previous", ".": "next", "{": "previous2", "}": "next2", 0: "bare", b: "pin", c: "compare", m: "mode", "+": "larger", "=": "larger", "-": "smaller", z: "zoom",
    k: "star", n: "note", u: "undo", p: "copyPrompt", i: "details", f: "filter", "/": "filter", g: "list", l: "layout", t: "swap", s: "marks", "?": "help", " ": "choose" };
  const HELD = { v: () => Large.reference(), a: () => App.beside(-1), d: () => App.beside(1) };

  const isText = (element) => element.matches("textarea, select, input:not([type=checkbox], [type=range], [type=file])");

  const down = (event) => {
    // AltGr is how many keyboards write [ ] { }; to the browser it looks like Ctrl and Alt
    const graph = event.getModifierState("AltGraph");
    if (event.isComposing || event.keyCode === 229 || (!graph && (event.metaKey || event.altKey)) || event.defaultPrevented) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (isText(target)) {
      if (event.key === "Escape" && !target.closest("dialog.panel")) { event.preventDefault(); target.blur(); App.act("focus"); }
      return;
    }
    if (document.querySelector("dialog.panel[open]")) return;
    if (event.ctrlKey && !graph) {
      if (event.key === "Home" || event.key === "End") { event.preventDefault(); App.act(event.key === "Home" ? "veryFirst" : "veryLast"); }
      return;
    }
    const onControl = target.matches("button, a, summary, input");
    if (onControl && (event.key === "Enter" || event.key === " ")) return;
    if (target.matches("input[type=range]") && /^(Arrow|Home|End|Page)/.test(event.key)) return;
    const letter = View.keys ? event.key.toLowerCase() : "";
    if (HELD[letter]) {
      event.preventDefault();
      if (!event.repeat) { const cell = HELD[letter](); if (cell) Large.flip(cell); }
      return;
    }
    if (/^[1-4]$/.test(letter) && View.compare) { Large.activate(Number(letter) - 1); return; }
    const action = NAMED[event.key] || SINGLE[letter];
    if (!action) return;
    event.preventDefault();
    App.act(action);
  };

  const begin = () => {
    document.addEventListener("keydown", down);
    document.addEventListener("keyup", (event) => { if (HELD[event.key.toLowerCase()]) Large.flip(null); });
    window.addEventListener("blur", () => Large.flip(null));
  };

  return { LIST, begin };
})();
