"use strict";
// One cell as an element: its picture, or one of three placeholders, and the marks on it. Texts are set as text, never
// as HTML: prompts and reasons come from anywhere.
const CellNode = (() => {
  const WORDS = { failed: "failed", pending: "not made yet", "left out": "left out" };
  const GLYPHS = { failed: "✕", pending: "…", "left out": "∅" };

  const node = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };

  const placeholder = (cell) => node("span", { class: "empty " + cell.state.replace(" ", "-") },
    node("i", { "aria-hidden": "true" }, GLYPHS[cell.state]), node("b", {}, WORDS[cell.state]), ...(cell.reason ? [node("span", {}, cell.reason)] : []));

  /** Words for the marks on a cell, each with a class. */
  const marksOf = (cell) => {
    const made = [];
    const mark = Notes.of(cell);
    const chosen = View.chosen.indexOf(cell.name);
    if (Model.highlighted.has(cell.name)) made.push(["winner", "◆", "winner"]);
    if (mark.star) made.push(["star", "★", "starred"]);
    if (mark.note) made.push(["note", "✎", "note: " + mark.note]);
    if (View.pin === cell.name) made.push(["pin", "B", "reference"]);
    if (chosen >= 0) made.push(["chosen", String(chosen + 1), "chosen for comparing"]);
    return made;
  };
  const marks = (cell) => marksOf(cell).map(([kind, sign, words]) => node("span", { class: "mark " + kind, title: words }, sign));

  const spoken = (cell) => [cell.label, cell.state === "ready" ? "" : WORDS[cell.state], cell.reason, ...marksOf(cell).map(([, , words]) => words)].filter(Boolean).join(", ");

  /** Which file is shown at that width: the thumbnail is enough up to its own size. */
  const sourceOf = (cell, width) => {
    const longer = width * Math.max(1, Model.box.height / Model.box.width) * devicePixelRatio;
    return cell.thumb && longer <= Model.data.thumbnailSide * 1.25 ? cell.thumb : cell.picture;
  };

  /** What a cell looks like; when it changes the element is filled anew. */
  const lookOf = (cell, width, flipped) => [flipped ? flipped.name : "", cell.state, sourceOf(flipped || cell, width), cell.reason, ...marksOf(cell).map(([kind, sign]) => kind + sign)].join("|");

  const fill = (element, cell, width, flipped) => {
    const look = lookOf(cell, width, flipped);
    if (element.dataset.look === look) return;
    element.dataset.look = look;
    element.dataset.name = cell.name;
    element.dataset.state = cell.state;
    element.setAttribute("aria-label", spoken(cell));
    element.title = cell.label + (cell.reason ? ": " + cell.reason : "");
    element.classList.toggle("winner", Model.highlighted.has(cell.name));
    element.classList.toggle("pinned", View.pin === cell.name);
    element.classList.toggle("chosen", View.chosen.includes(cell.name));
    element.classList.toggle("flipped", Boolean(flipped));
    const shown = flipped || cell;
    const source = sourceOf(shown, width);
    let image = element.querySelector("img");
    if (shown.state === "ready") {
      element.querySelector(".empty")?.remove();
      if (!image) element.prepend(image = node("img", { alt: "", decoding: "async", draggable: "false" }));
      image.cell = shown;
      if (image.getAttribute("src") !== source) image.src = source;
    } else {
      image?.remove();
      element.querySelector(".empty")?.remove();
      element.prepend(placeholder(shown));
    }
    let tags = element.querySelector(".tags");
    if (!tags) element.append(tags = node("span", { class: "tags", "aria-hidden": "true" }));
    tags.replaceChildren(...marks(cell));
  };

  /** A picture that cannot be loaded: the full one in its place, else words. */
  const missing = (image) => {
    const { cell } = image;
    if (!cell) return;
    if (image.getAttribute("src") !== cell.picture) { cell.thumb = ""; image.src = cell.picture; return; }
    image.replaceWith(placeholder({ state: "failed", reason: "The file is not there any more: " + decodeURIComponent(cell.picture) }));
  };

  return { node, placeholder, marks, spoken, fill, missing };
})();
