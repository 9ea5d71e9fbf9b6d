"use strict";
// Which cell stands where: lines (rows, columns) of a table, or one list that wraps. No pixels here.
const Layout = (() => {
  /** Which place carries the line without LoRA: columns before rows, inner before outer; "page" = none of them. */
  const bareLine = (view) => (Model.hasBare ? View.PLACES.find((place) => view[place] >= 0 && Model.axes[view[place]].lora) || "page" : "none");

  const lines = (inner, outer, bareInner, bareOuter) => {
    const made = [];
    const values = inner < 0 ? [null] : View.shown(inner);
    const outers = outer < 0 ? [null] : View.shown(outer);
    if (bareOuter) outers.unshift("bare");
    for (const block of outers) {
      if (bareInner) made.push({ outer: block, inner: null, bare: true, first: true });
      values.forEach((value, index) => made.push({ outer: block, inner: value, bare: block === "bare", first: index === 0 && !bareInner }));
    }
    return made;
  };

  /** The layout of the view; `matches` is a set of cell names or null = all. */
  const make = (view, matches) => {
    const carrier = bareLine(view);
    const shownBare = carrier !== "none" && !view.hideBare;
    if (view.list) {
      const hidden = (cell) => cell.bare && view.hideBare || cell.at.some((index, axis) => index !== null && view.hidden[axis].has(index));
      return flow(Model.cells.filter((cell) => (matches ? matches.has(cell.name) : !hidden(cell))), matches, true, "none");
    }
    const columns = lines(view.x, view.x2, shownBare && carrier === "x", shownBare && carrier === "x2");
    const rows = lines(view.y, view.y2, shownBare && carrier === "y", shownBare && carrier === "y2");
    const placeOf = (row, column) => {
      const at = [...view.at];
      for (const [axis, line, part] of [[view.x, column, "inner"], [view.x2, column, "outer"], [view.y, row, "inner"], [view.y2, row, "outer"]]) if (axis >= 0 && typeof line[part] === "number") at[axis] = line[part];
      return at;
    };
    const bare = (row, column) => row.bare || column.bare || (carrier === "page" && view.bare);
    const cellOf = (row, column) => {
      const at = placeOf(row, column);
      return Model.byPlace.get(Model.nameOf(bare(row, column) ? Model.bareOf(at) : at));
    };
    if (view.y < 0) {  // one row: a list that wraps shows more of it
      const cells = columns.map((column) => ({ cell: cellOf(rows[0], column), at: placeOf(rows[0], column) })).filter(({ cell }) => cell && (!matches || matches.has(cell.name)));
      return flow(cells.map(({ cell }) => cell), matches, false, carrier, cells.map(({ at }) => at));
    }
    let keptRows = rows, keptColumns = columns;
    if (matches) {  // lines without a match vanish
      const hit = (row, column) => { const cell = cellOf(row, column); return cell && matches.has(cell.name); };
      keptRows = rows.filter((row) => columns.some((column) => hit(row, column)));
      keptColumns = columns.filter((column) => keptRows.some((row) => hit(row, column)));
    }
    /** Where the view's own place stands: [row, column], or null where it is hidden. */
    const find = () => {
      const on = (list, inner, outer, place) => list.findIndex((line) =>
        (outer < 0 || line.outer === (view.bare && carrier === place + "2" ? "bare" : view.at[outer])) &&
        (view.bare && carrier === place ? line.bare : !line.bare || carrier !== place) && (inner < 0 || line.inner === null || line.inner === view.at[inner]));
      const row = on(keptRows, view.y, view.y2, "y"), column = on(keptColumns, view.x, view.x2, "x");
      return row < 0 || column < 0 ? null : [row, column];
    };
    return { form: "table", carrier, rows: keptRows, columns: keptColumns, matches, cellAt: (r, c) => cellOf(keptRows[r], keptColumns[c]),
      goTo: (r, c) => ({ at: placeOf(keptRows[r], keptColumns[c]), bare: bare(keptRows[r], keptColumns[c]) }), find };
  };

  const flow = (cells, matches, everything, carrier, ats) => ({
    form: "flow", carrier, cells, matches, everything,
    goTo: (index) => ({ at: ats ? ats[index] : cells[index].at.map((value, axis) => value ?? View.at[axis]), bare: cells[index].bare }),
    find: () => { const here = View.here(); const index = here ? cells.indexOf(here) : -1; return index < 0 ? null : index; },
  });

  /** A bare number needs its axis' name; words speak for themselves. */
  const named = (axis, value) => (/^[-\d.]{1,6}$/.test(value) ? `${Model.axes[axis].name} ${value}` : value);

  /** The words under a cell of a list: what the list's own axis says, or the whole place. */
  const caption = (layout, cell) => {
    if (layout.everything) return Model.axes.map((axis, index) => (axis.values.length > 1 && cell.at[index] !== null ? named(index, Model.valueOf(cell, index)) : "")).filter(Boolean).concat(cell.bare ? ["no LoRA"] : []).join(" · ");
    if (cell.bare && layout.carrier !== "page") return "no LoRA";
    return View.x < 0 ? cell.label : [View.x2, View.x].filter((axis) => axis >= 0 && cell.at[axis] !== null).map((axis) => named(axis, Model.valueOf(cell, axis))).join(" · ") || "no LoRA";
  };

  return { make, caption };
})();
