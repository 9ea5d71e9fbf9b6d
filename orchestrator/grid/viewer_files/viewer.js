"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const keyOf = (epoch, weight, seed) => JSON.stringify([epoch, weight, seed]);
  const view = { seed: null, epoch: null, weight: null, open: false, pin: null, short: new Set(), only: false, size: 176, whole: false, details: false, keys: true };
  let cells = new Map();   // keyOf(...) -> entry
  let lastEpoch = null;    // where 0 and the row of the baseline lead back to
  let flicking = false;

  const read = () => {
    const words = new URLSearchParams(location.hash.slice(1));
    const known = (text) => (text && cells.has(text) ? text : null);
    if (GRID.seeds.includes(words.get("seed"))) view.seed = words.get("seed");
    const at = known(words.get("at"));
    if (at) [view.epoch, view.weight, view.seed] = JSON.parse(at);
    view.pin = known(words.get("pin"));
    view.short = new Set(words.getAll("short").filter(known));
    view.size = Math.min(512, Math.max(64, Number(words.get("size")) || 176));
    view.open = words.has("open"); view.whole = words.has("whole"); view.details = words.has("details"); view.keys = !words.has("nokeys");
  };
  const keep = () => {
    const words = new URLSearchParams();
    words.set("at", keyOf(view.epoch, view.weight, view.seed));
    if (view.pin) words.set("pin", view.pin);
    for (const key of view.short) words.append("short", key);
    if (view.size !== 176) words.set("size", view.size);
    for (const name of ["open", "whole", "details"]) if (view[name]) words.set(name, "1");
    if (!view.keys) words.set("nokeys", "1");
    history.replaceState(null, "", "#" + words);  // not pushState: Back must leave the page, not replay every key
  };

  const here = () => cells.get(keyOf(view.epoch, view.weight, view.seed));
  const node = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const words = { failed: "failed", pending: "not made yet", "left out": "left out" };
  const placeholder = (entry) => {
    const box = node("div", { class: "empty " + entry.state.replace(" ", "-") }, node("b", {}, words[entry.state]));
    if (entry.reason) box.append(node("span", {}, entry.reason));
    return box;
  };
  const tags = (key) => {
    const made = [];
    if (view.pin === key) made.push(node("span", { class: "tag pin" }, "B"));
    if (view.short.has(key)) made.push(node("span", { class: "tag short" }, "K"));
    return made;
  };

  const cellNode = (epoch, weight) => {
    const key = keyOf(epoch, weight, view.seed);
    const entry = cells.get(key);
    const shape = entry.recipe || GRID.entries.find((other) => other.recipe)?.recipe || { width: 1, height: 1 };
    const button = node("button", { type: "button", class: "cell", "data-key": key, "data-state": entry.state,
      style: `aspect-ratio: ${shape.width} / ${shape.height}`, title: entry.label + (entry.reason ? ": " + entry.reason : ""), "aria-label": entry.label + ", " + entry.state });
    const body = entry.state === "ready" ? node("img", { src: entry.picture, alt: "", decoding: "async", loading: GRID.entries.length / GRID.seeds.length > 200 ? "lazy" : "eager" }) : placeholder(entry);
    button.append(body, node("span", { class: "tags" }, ...tags(key)));
    if (entry.state === "left out") button.disabled = true;
    if (view.only && !view.short.has(key)) button.classList.add("dim");
    if (epoch === view.epoch && weight === view.weight) button.classList.add("here");
    button.addEventListener("click", () => { go(epoch, weight, view.seed); openLarge(); });
    return node("td", {}, button);
  };

  const drawGrid = () => {
    const focused = document.activeElement?.dataset?.key;
    const head = node("tr", {}, node("th", { scope: "col" }, "epoch \\ weight"), ...GRID.weights.map((w) => node("th", { scope: "col" }, String(w))));
    const rows = GRID.epochs.map((e) => node("tr", {}, node("th", { scope: "row" }, "epoch " + e), ...GRID.weights.map((w) => cellNode(e, w))));
    const note = "What the seed alone draws: the same prompt without LoRA" + (GRID.trigger ? " and without the trigger word." : ".");
    const bare = node("tr", {}, node("th", { scope: "row" }, "no LoRA"), cellNode(null, null));
    if (GRID.weights.length > 1) bare.append(node("td", { class: "words", colspan: String(GRID.weights.length - 1) }, note));
    $("grid").replaceChildren(node("table", {}, node("thead", {}, head), node("tbody", {}, ...rows), node("tbody", { class: "bare" }, bare)));
    document.documentElement.style.setProperty("--size", view.size + "px");
    $("seed").value = view.seed;
    $("seed-previous").disabled = GRID.seeds.indexOf(view.seed) <= 0;
    $("seed-next").disabled = GRID.seeds.indexOf(view.seed) >= GRID.seeds.length - 1;
    $("shortlist-count").textContent = view.short.size;
    $("show-shortlist").disabled = !view.short.size && !view.only;
    $("show-shortlist").setAttribute("aria-pressed", String(view.only));
    if (focused && !view.open) focusHere();
  };
  const mark = () => {
    const key = keyOf(view.epoch, view.weight, view.seed);
    for (const button of $("grid").querySelectorAll(".cell")) button.classList.toggle("here", button.dataset.key === key);
  };
  const focusHere = () => $("grid").querySelector(".cell.here")?.focus({ preventScroll: false });

  const describe = (entry) => {
    const recipe = entry.recipe || {};
    const lora = (recipe.loras || []).map((l) => `${l.stem} at ${l.weight}; file ${l.sha256}`).join("\n");
    const rows = [["Prompt", recipe.prompt], ["Negative prompt", recipe.negative_prompt], ["Seed", recipe.seed], ["LoRA", lora || "none"],
      ["Checkpoint", [recipe.checkpoint, recipe.checkpoint_hash].filter(Boolean).join("  ")],
      ["Sampler", [recipe.sampler, recipe.scheduler].filter(Boolean).join(" ")], ["Steps, CFG", recipe.steps && `${recipe.steps}, ${recipe.cfg_scale}`],
      ["Size", recipe.width && `${recipe.width} × ${recipe.height}`], ["Recipe key", entry.key], ["File", entry.picture], ["Reason", entry.reason]];
    return node("dl", {}, ...rows.filter(([, value]) => value).flatMap(([name, value]) => [node("dt", {}, name), node("dd", {}, String(value))]));
  };
  const drawLarge = () => {
    const own = here();
    const entry = flicking && view.pin ? cells.get(view.pin) : own;
    const shown = entry.state === "ready";
    $("large-label").textContent = (entry === own ? "" : "B: ") + entry.label;
    const all = [...cells.values()].filter((other) => other.state !== "left out");
    $("large-place").textContent = `${(all.indexOf(entry) + 1).toLocaleString("en")} / ${all.length.toLocaleString("en")}`;
    $("large-marks").replaceChildren(...tags(keyOf(entry.epoch, entry.weight, entry.seed)));
    $("large-image").hidden = !shown;
    $("large-empty").hidden = shown;
    if (shown) { $("large-image").src = entry.picture; $("large-image").alt = entry.label; }
    else { $("large-image").removeAttribute("src"); $("large-empty").replaceChildren(placeholder(entry)); }
    $("frame").classList.toggle("whole", view.whole);
    $("frame").classList.toggle("flicked", entry !== own);
    $("details").hidden = !view.details;
    $("details").replaceChildren(describe(entry));
    $("flick").disabled = !view.pin;
    const press = (name, on) => document.querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", String(on));
    press("zoom", view.whole); press("details", view.details); press("pin", view.pin === keyOf(own.epoch, own.weight, own.seed));
    press("shortlist", view.short.has(keyOf(own.epoch, own.weight, own.seed))); press("baseline", view.epoch === null);
  };
  const openLarge = () => { view.open = true; if (!$("large").open) $("large").showModal(); drawLarge(); $("frame").focus(); keep(); };
  const closeLarge = () => { view.open = false; if ($("large").open) $("large").close(); drawGrid(); focusHere(); keep(); };

  const go = (epoch, weight, seed) => {
    const entry = cells.get(keyOf(epoch, weight, seed));
    if (!entry || entry.state === "left out") return false;
    if (epoch !== null) lastEpoch = [epoch, weight];
    const sameSeed = seed === view.seed;
    Object.assign(view, { epoch, weight, seed });
    if (sameSeed) mark(); else drawGrid();  // drawn anew only when the pictures change: no flicker
    if (view.open) drawLarge(); else focusHere();
    keep();
    return true;
  };
  const step = (down, right) => {  // to the next cell in that direction that is not left out; no wrap-around
    if (view.epoch === null) {
      if (right || down > 0) return;
      const weight = lastEpoch ? lastEpoch[1] : GRID.weights[GRID.weights.length - 1];
      for (let row = GRID.epochs.length - 1; row >= 0; row--) if (go(GRID.epochs[row], weight, view.seed)) return;
      return;
    }
    let row = GRID.epochs.indexOf(view.epoch) + down, column = GRID.weights.indexOf(view.weight) + right;
    for (; row >= 0 && row < GRID.epochs.length && column >= 0 && column < GRID.weights.length; row += down, column += right)
      if (go(GRID.epochs[row], GRID.weights[column], view.seed)) return;
    if (down > 0) go(null, null, view.seed);
  };
  const edge = (last) => {
    if (view.epoch === null) return;
    for (const weight of last ? [...GRID.weights].reverse() : GRID.weights) if (go(view.epoch, weight, view.seed)) return;
  };
  const nextSeed = (by) => { const seed = GRID.seeds[GRID.seeds.indexOf(view.seed) + by]; if (seed !== undefined) go(view.epoch, view.weight, seed); };
  const flick = (on) => { if (flicking !== on && view.open && view.pin) { flicking = on; drawLarge(); } };
  const redraw = () => { drawGrid(); if (view.open) drawLarge(); keep(); };
  const actions = {
    left: () => step(0, -1), right: () => step(0, 1), up: () => step(-1, 0), down: () => step(1, 0), first: () => edge(false), last: () => edge(true),
    "seed-previous": () => nextSeed(-1), "seed-next": () => nextSeed(1), open: openLarge, close: closeLarge,
    baseline: () => { if (view.epoch !== null) go(null, null, view.seed); else if (lastEpoch) go(lastEpoch[0], lastEpoch[1], view.seed); },
    pin: () => { const key = keyOf(view.epoch, view.weight, view.seed); view.pin = view.pin === key ? null : key; redraw(); },
    shortlist: () => { const key = keyOf(view.epoch, view.weight, view.seed); if (!view.short.delete(key)) view.short.add(key); redraw(); },
    zoom: () => { view.whole = !view.whole; redraw(); }, details: () => { view.details = !view.details; redraw(); },
    help: () => $("help").showModal(),
  };
  const named = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", Home: "first", End: "last" };
  const single = { "[": "seed-previous", "]": "seed-next", 0: "baseline", b: "pin", k: "shortlist", z: "zoom", i: "details", "?": "help" };

  document.addEventListener("keydown", (event) => {
    // keys of an input method being composed, of the browser, and of fields are not ours
    if (event.isComposing || event.keyCode === 229 || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea") || $("help").open) return;
    const letter = view.keys ? event.key.toLowerCase() : "";
    if (letter === "v") { flick(true); return; }
    const action = named[event.key] || single[letter];
    if (!action) return;
    // at 100 % the arrows of a focused frame would scroll it as well as move
    event.preventDefault();
    actions[action]();
  });
  document.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "v") flick(false); });
  window.addEventListener("blur", () => flick(false));

  window.showGrid = () => {  // called by data.js whenever it is read again
    for (const entry of GRID.entries) if (entry.recipe) entry.recipe = { ...GRID.shared, ...entry.recipe };
    cells = new Map(GRID.entries.map((entry) => [keyOf(entry.epoch, entry.weight, entry.seed), entry]));
    $("summary").textContent = GRID.summary;
    $("prompt").textContent = GRID.prompt;
    const waiting = GRID.entries.some((entry) => entry.state === "pending");
    $("notice").hidden = !waiting;
    $("notice").textContent = "Some pictures are not made yet. They appear here as they come.";
    if (waiting) setTimeout(() => document.head.append(node("script", { src: "data.js?" + Date.now() })), 5000);
    if (view.seed !== null) redraw();
  };
  window.showGrid();
  view.seed = GRID.seeds[0];
  const first = GRID.entries.find((entry) => entry.epoch !== null && entry.state !== "left out") || GRID.entries[0];
  [view.epoch, view.weight] = [first.epoch, first.weight];
  read();
  if (view.epoch !== null) lastEpoch = [view.epoch, view.weight];
  $("seed").append(...GRID.seeds.map((seed) => node("option", {}, seed)));
  $("seed-group").hidden = GRID.seeds.length < 2;
  $("size").value = view.size; $("keys-on").checked = view.keys;
  $("seed").addEventListener("change", () => go(view.epoch, view.weight, $("seed").value));
  $("seed-previous").addEventListener("click", () => nextSeed(-1));
  $("seed-next").addEventListener("click", () => nextSeed(1));
  $("size").addEventListener("input", () => { view.size = Number($("size").value); redraw(); });
  $("show-shortlist").addEventListener("click", () => { view.only = !view.only; redraw(); });
  $("help-open").addEventListener("click", actions.help);
  $("keys-on").addEventListener("change", () => { view.keys = $("keys-on").checked; keep(); });
  for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => actions[button.dataset.do]());
  $("flick").addEventListener("pointerdown", () => flick(true));
  for (const name of ["pointerup", "pointerleave", "pointercancel"]) $("flick").addEventListener(name, () => flick(false));
  $("large").addEventListener("close", () => { if (view.open) closeLarge(); });
  drawGrid();
  if (view.open) openLarge();
  keep();
})();
