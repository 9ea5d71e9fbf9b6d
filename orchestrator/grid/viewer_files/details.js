"use strict";
// How a cell was made: axes, recipe, what to copy, the command that draws it again, and the note on it.
const Details = (() => {
  const { node } = CellNode;
  const KNOWN = new Set(["prompt", "negative_prompt", "loras", "seed", "sampler", "scheduler", "steps", "cfg_scale", "width", "height", "checkpoint", "checkpoint_hash", "vae", "vae_hash", "clip_skip",
    "denoising_strength", "batch_size", "batch_position", "server_version", "settings_hash", "init_sha256", "mask_sha256", "mask_blur"]);

  const copy = async (text, what) => {
    if (!text) return App.say("Nothing to copy here");
    try { await navigator.clipboard.writeText(text); return App.say(`Copied: ${what}`); } catch { /* pages from the disk may not, in some browsers */ }
    const field = node("textarea", { class: "away" });
    field.value = text;
    (document.querySelector("dialog[open]") || document.body).append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return App.say(done ? `Copied: ${what}` : "The browser refuses to copy; select the text in the details");
  };

  // A command is pasted into a shell: names that a shell could read as more than a name are not offered.
  const isSafe = (text) => /^[\p{L}\p{N} _.,=+()#/~@-]+$/u.test(text) && !text.startsWith("-");
  const command = (...words) => (words.every(isSafe) ? ["orchestrator grid", ...words.map((word) => (/[^\w./=-]/.test(word) ? `"${word}"` : word))].join(" ") : "");

  /** A place as the command line reads it. */
  const addressOf = (cell) => [...(cell.bare ? ["no LoRA"] : []), ...Model.axes.map((axis, index) => {
    const value = Model.valueOf(cell, index);
    if (value === null || axis.values.length < 2) return "";
    return `${axis.name}=${value.length <= 40 && isSafe(value) && !/[,=#]/.test(value) ? value : `#${cell.at[index] + 1}`}`;
  }).filter(Boolean)].join(",");

  /** Commands on this cell, for a terminal in the workspace: [command, what it does]. None where the folder is elsewhere. */
  const commandsOf = (cell, reference) => {
    const { folder } = Model.data;
    if (!folder) return [];
    const again = cell.state === "ready" ? [command("regenerate", `grids/${folder}/${decodeURIComponent(cell.picture)}`), "Draws this cell again"] : [command("regenerate", folder), "Draws what is missing"];
    const difference = reference && cell.state === "ready" && reference.state === "ready" ? [[command("difference", folder, addressOf(reference), addressOf(cell)), "Shows what differs from the reference"]] : [];
    return [again, ...difference].filter(([text]) => text);
  };

  const words = (value) => (Array.isArray(value) ? value.map(words).join("\n") : typeof value === "object" && value !== null ? Object.entries(value).map(([name, inner]) => `${name}: ${words(inner)}`).join("\n") : String(value));

  const rowsOf = (cell) => {
    const recipe = Model.recipeOf(cell) || {};
    const loras = (recipe.loras || []).map((lora) => `${lora.stem} at ${lora.weight}\nfile ${String(lora.sha256 || "").slice(0, 12)}…`).join("\n");
    const known = [["Prompt", Model.promptOf(cell), "prompt"], ["Negative prompt", recipe.negative_prompt], ["LoRA", Model.recipeOf(cell) ? loras || "none" : ""], ["Seed", recipe.seed],
      ["Sampler", [recipe.sampler, recipe.scheduler].filter(Boolean).join(" ")], ["Steps, CFG", recipe.steps && `${recipe.steps}, ${recipe.cfg_scale}`], ["Size", recipe.width && `${recipe.width} × ${recipe.height}`],
      ["Checkpoint", [recipe.checkpoint, recipe.checkpoint_hash && `(${recipe.checkpoint_hash.slice(0, 10)})`].filter(Boolean).join(" ")], ["VAE", recipe.vae], ["Clip skip", recipe.clip_skip > 1 ? recipe.clip_skip : ""],
      ["Denoising strength", recipe.denoising_strength]];
    const others = Object.entries(recipe).filter(([name]) => !KNOWN.has(name)).map(([name, value]) => [name.replaceAll("_", " "), value]);
    const drawn = [["Server", recipe.server_version], ["Time", cell.seconds ? `${cell.seconds.toFixed(1)} s` : ""], ["File", cell.picture && decodeURIComponent(cell.picture)], ["Key", cell.key]];
    return [...known, ...others, ...drawn].map(([name, value]) => [name, value === null || value === undefined || value === false ? "" : words(value)]).filter(([, value]) => value !== "");
  };

  const noteField = (cell) => {
    const field = node("textarea", { id: "note", rows: "3", placeholder: "Your note on this cell", maxlength: "4000", "aria-label": `Note on ${cell.label}` });
    field.value = Notes.of(cell).note;
    // the note belongs to the cell it was begun on, also when the arrows went on meanwhile
    field.addEventListener("change", () => { Notes.note(cell, field.value.trim()); App.marksChanged(); });
    return field;
  };

  const fill = (element, cell) => {
    const editing = element.querySelector("#note");
    if (editing && editing === document.activeElement) editing.dispatchEvent(new Event("change"));
    const mark = Notes.of(cell);
    const redrawn = mark.key && cell.key && mark.key !== cell.key;
    const reference = View.pin && View.pin !== cell.name ? Model.byPlace.get(View.pin) : null;
    const button = (label, action, title = "") => { const made = node("button", { type: "button", title }, label); made.addEventListener("click", action); return made; };
    element.replaceChildren(
      node("h3", {}, cell.label),
      ...(cell.state === "ready" ? [] : [CellNode.placeholder(cell)]),
      ...(reference ? [node("p", { class: "soft" }, `From the reference it differs in: ${Model.differences(cell, reference).join(", ") || "nothing"}.`)] : []),
      noteField(cell),
      ...(redrawn ? [node("p", { class: "redrawn" }, "Star and note were made on an earlier picture of this cell; it was drawn anew since.")] : []),
      node("p", { class: "tools" }, button("Copy prompt", () => copy(Model.promptOf(cell), "the prompt"), "P"), button("Copy for A1111", () => copy(Model.parametersOf(cell), "prompt and settings, as A1111 reads them"), "Prompt and settings as A1111 writes them: paste them into its prompt field and press ↙"),
        ...(cell.picture ? [node("a", { href: cell.picture, target: "_blank", rel: "noopener", class: "button" }, "Open file")] : [])),
      ...commandsOf(cell, reference).map(([text, what]) => node("p", { class: "command" }, node("span", { class: "soft" }, what), node("code", {}, text), button("Copy command", () => copy(text, "the command"), what))),
      node("dl", { class: "pairs" }, ...rowsOf(cell).flatMap(([name, value]) => [node("dt", {}, name), node("dd", {}, value)])),
    );
  };

  return { fill, copy, commandsOf };
})();
