"use strict";
// Stars and notes. They lie in this browser, under the grid's identity and each cell's values, and can be exported.
const Notes = (() => {
  const FORMAT = 1, MAX_NOTE = 4000, MAX_FILE = 20_000_000;
  let marks = new Map();   // identity of a cell -> { star, note, key, when }
  let kept = true;         // whether the browser keeps them
  const undone = [];
  const slot = () => `orchestrator grid ${Model.data.id}`;

  const clean = (mark) => ({
    star: mark.star === true, note: typeof mark.note === "string" ? mark.note.slice(0, MAX_NOTE) : "",
    key: typeof mark.key === "string" ? mark.key.slice(0, 64) : "", when: typeof mark.when === "string" ? mark.when.slice(0, 40) : "",
  });
  const isCell = (name) => { try { return Array.isArray(JSON.parse(name)); } catch { return false; } };
  const fromList = (list) => new Map((Array.isArray(list) ? list : []).filter((pair) => Array.isArray(pair) && typeof pair[0] === "string" && isCell(pair[0]) && pair[1] && typeof pair[1] === "object").map(([name, mark]) => [name, clean(mark)]));

  const load = () => {
    try { marks = fromList(JSON.parse(localStorage.getItem(slot()) || "[]")); } catch { kept = canKeep(); }
  };
  const canKeep = () => { try { localStorage.setItem(slot() + " try", "1"); localStorage.removeItem(slot() + " try"); return true; } catch { return false; } };
  const save = () => {
    try { localStorage.setItem(slot(), JSON.stringify([...marks])); kept = true; } catch { kept = false; }
    return kept;
  };

  const NONE = Object.freeze({ star: false, note: "", key: "", when: "" });
  const of = (cell) => marks.get(Model.identityOf(cell)) || NONE;

  const change = (cell, changes) => {
    const name = Model.identityOf(cell);
    undone.push([name, marks.get(name)]);
    const mark = clean({ ...of(cell), ...changes, key: cell.key || "", when: new Date().toISOString() });
    if (mark.star || mark.note) marks.set(name, mark); else marks.delete(name);
    return save();
  };
  const star = (cell) => change(cell, { star: !of(cell).star });
  const note = (cell, text) => (of(cell).note === text ? kept : change(cell, { note: text }));
  /** Take the last change back; false where there is none. */
  const undo = () => {
    const last = undone.pop();
    if (!last) return false;
    if (last[1]) marks.set(last[0], last[1]); else marks.delete(last[0]);
    save();
    return true;
  };

  /** All marks of cells that the grid has, in its order. */
  const all = () => Model.cells.map((cell) => [cell, marks.get(Model.identityOf(cell))]).filter(([, mark]) => mark);
  const stars = () => all().filter(([, mark]) => mark.star).length;

  const exported = () => JSON.stringify({
    format: FORMAT, grid: Model.data.id, title: Model.data.title, written: new Date().toISOString(),
    marks: [...marks].map(([name, mark]) => ({ cell: Object.fromEntries(JSON.parse(name)), ...mark })),
  }, null, 1);

  /** Take in an exported file: of two marks of one cell the newer counts. Returns words; throws Error with words. */
  const imported = (text) => {
    if (text.length > MAX_FILE) throw new Error("This file is too large to be stars and notes.");
    let read;
    try { read = JSON.parse(text); } catch { throw new Error("This is not a file of stars and notes: it is not JSON."); }
    if (!read || read.format !== FORMAT || !Array.isArray(read.marks)) throw new Error("This is not a file of stars and notes that this page can read.");
    const entries = read.marks.filter((mark) => mark && typeof mark.cell === "object" && mark.cell).map((mark) => [
      JSON.stringify(Object.entries(mark.cell).map(([axis, value]) => [axis, String(value)]).sort(([a], [b]) => (a < b ? -1 : 1))), mark]);
    let taken = 0;
    for (const [name, mark] of fromList(entries)) {
      const own = marks.get(name);
      if (own && own.when >= mark.when) continue;
      marks.set(name, mark);
      taken++;
    }
    save();
    const known = new Set(Model.cells.map(Model.identityOf));
    const foreign = entries.filter(([name]) => !known.has(name)).length;
    return [`${taken} of ${entries.length} taken in`, taken < entries.length ? "for the others there was a newer one here" : "", foreign ? `${foreign} are of cells this grid does not have; they are kept` : "",
      read.grid !== Model.data.id ? `they were made on another grid (${String(read.title || read.grid).slice(0, 80)})` : ""].filter(Boolean).join("; ") + ".";
  };

  /** Where they lie, said honestly. */
  const where = () => (kept
    ? "Kept in this browser on this computer, under the grid's name. Chromium and Edge find them again wherever the folder is moved; Firefox and Safari tie them to where this page lies, and private windows forget them. Export them to keep or send them."
    : "This browser keeps nothing for pages opened from the disk: export before you close the page.");

  return { load, of, star, note, undo, all, stars, exported, imported, where, slot, isKept: () => kept };
})();
