"use strict";
// The grid on the page: only what can be seen is there, a little more is added while there is time. Rows, columns and
// lists of any length scroll without long tasks.
const Table = (() => {
  const { node } = CellNode;
  const BUDGET_MS = 7, BLOCK_GAP = 18, OVERSCAN = 500;
  let frame, canvas, head, layout, geometry, scheduled = 0, focusWanted = false, flip = null;
  const rowNodes = new Map(), cellNodes = new Map(), headNodes = new Map();

  const textWidth = (text, size) => [...text].reduce((sum, letter) => sum + (letter.codePointAt(0) > 0x2e80 ? size : size * 0.56), 0);
  const valueOf = (axis, index) => (index === null || axis < 0 ? "" : Model.axes[axis].values[index]);
  const lineWords = (line, inner) => (line.inner === null ? (line.bare ? "no LoRA" : "") : valueOf(inner, line.inner));

  /** Where lines begin, in pixels; `ends` is one longer than `lines`. */
  const runs = (lines, length, gap, banner) => {
    const starts = new Float64Array(lines.length + 1);
    let place = 0;
    lines.forEach((line, index) => {
      const last = lines[index - 1];
      const block = !last || last.outer !== line.outer;
      if (last && (block || last.bare !== line.bare)) place += BLOCK_GAP - gap;
      if (banner && block) place += banner;
      starts[index] = place;
      place += length + gap;
    });
    starts[lines.length] = place;
    return starts;
  };

  /** Cells as large as all columns fit, within what is still seen and what a thumbnail shows. */
  const fitting = (room, columns, gutter, extra) => Math.round(Math.min(256, Math.max(room < 700 ? 104 : 120, (room - gutter - extra - 28) / Math.max(1, columns) - 4)));

  const measure = () => {
    const room = frame.clientWidth, flow = layout.form === "flow";
    const narrow = room < 700;
    const longest = flow ? 0 : Math.max(...layout.rows.map((row) => textWidth(lineWords(row, View.y), 12.5)), ...[View.y, View.x].map((axis) => (axis < 0 ? 0 : textWidth(Model.axes[axis].name + " →", 11.5))));
    const gutter = flow ? 0 : Math.round(Math.min(narrow ? 84 : 190, Math.max(48, longest + (narrow ? 18 : 24))));
    const blocks = flow ? 0 : layout.columns.filter((column, index) => index && (column.outer !== layout.columns[index - 1].outer || column.bare !== layout.columns[index - 1].bare)).length;
    const width = View.size || fitting(room, flow ? Math.min(layout.cells.length, Math.round(room / 190)) : layout.columns.length, gutter, blocks * BLOCK_GAP);
    const height = Math.max(16, Math.round((width * Model.box.height) / Model.box.width));
    const gap = width < 90 ? 2 : 4;
    if (flow) {
      const caption = layout.everything ? 40 : 22;
      const perRow = Math.max(1, Math.floor((room - 24 + gap) / (width + gap)));
      const rows = Math.ceil(layout.cells.length / perRow);
      return { width, height, gap, caption, perRow, rows, left: 12, top: 8, total: [room, rows * (height + gap + caption) + 24], headHeight: 0, gutter: 0 };
    }
    const outer = View.x2 >= 0;
    const long = layout.columns.some((column) => textWidth(lineWords(column, View.x), 13) > width);
    const headHeight = (outer ? 26 : 0) + (long ? 46 : 38);
    const xs = runs(layout.columns, width, gap, 0), ys = runs(layout.rows, height, gap, View.y2 >= 0 ? 30 : 0);
    return { width, height, gap, gutter, headHeight, outer, xs, ys, left: gutter, top: headHeight + 6, total: [gutter + xs[xs.length - 1] + 24, headHeight + ys[ys.length - 1] + 30] };
  };

  /** First and last index of what lies between two pixels. */
  const between = (starts, from, to) => {
    const find = (pixel) => { let low = 0, high = starts.length - 1; while (low < high) { const middle = (low + high + 1) >> 1; if (starts[middle] <= pixel) low = middle; else high = middle - 1; } return low; };
    return [find(Math.max(0, from)), Math.min(starts.length - 2, find(Math.max(0, to)))];
  };

  /** Which cells lie within `extra` pixels of what is seen: [key, row, column, place]. */
  const windowOf = (extra) => {
    const { scrollTop, scrollLeft, clientHeight, clientWidth } = frame;
    const g = geometry, found = [];
    if (layout.form === "flow") {
      const pitch = g.height + g.gap + g.caption;
      const from = Math.max(0, Math.floor((scrollTop - g.top - extra) / pitch)), to = Math.min(g.rows - 1, Math.floor((scrollTop + clientHeight + extra) / pitch));
      for (let index = from * g.perRow; index < Math.min(layout.cells.length, (to + 1) * g.perRow); index++) found.push([index, Math.floor(index / g.perRow), index % g.perRow]);
      return found;
    }
    if (!layout.rows.length || !layout.columns.length) return found;
    const [top, bottom] = between(g.ys, scrollTop - extra, scrollTop + clientHeight + extra), [left, right] = between(g.xs, scrollLeft - extra, scrollLeft + clientWidth + extra);
    for (let r = top; r <= bottom; r++) for (let c = left; c <= right; c++) found.push([r * layout.columns.length + c, r, c]);
    return found;
  };

  /** Put an element among its siblings by its place: whoever listens to the page hears it in the order it is seen. */
  const insert = (parent, element, place) => {
    element.place = place;
    let before = null;
    for (let other = parent.lastElementChild; other && other.place > place; other = other.previousElementSibling) before = other;
    parent.insertBefore(element, before);
  };

  const rowNode = (r) => {
    let row = rowNodes.get(r);
    if (row) return row;
    const g = geometry;
    row = node("div", { role: "row", class: "row", "aria-rowindex": String(r + (g.headHeight ? 2 : 1)) });
    row.style.width = g.total[0] + "px";
    if (layout.form === "flow") { row.style.top = g.top + r * (g.height + g.gap + g.caption) + "px"; row.style.height = g.height + g.caption + "px"; }
    else {
      const line = layout.rows[r], words = lineWords(line, View.y);
      row.style.top = g.top + g.ys[r] + "px"; row.style.height = g.height + "px";
      if (line.bare) row.classList.add("bare");
      const header = node("div", { role: "rowheader", class: "rowhead", title: words }, node("span", {}, words));
      header.style.width = g.gutter + "px";
      if (View.y2 >= 0 && (r === 0 || layout.rows[r - 1].outer !== line.outer)) {
        const banner = line.outer === "bare" ? "no LoRA" : `${Model.axes[View.y2].name} ${valueOf(View.y2, line.outer)}`;
        row.append(node("div", { class: "banner" }, node("b", {}, banner)));
      }
      row.append(header);
    }
    rowNodes.set(r, row);
    insert(canvas, row, r);
    return row;
  };

  const cellAt = (key, r, c) => (layout.form === "flow" ? layout.cells[key] : layout.cellAt(r, c));
  const faded = (cell) => layout.form === "table" && layout.matches && !layout.matches.has(cell.name);

  const putCell = (key, r, c) => {
    let element = cellNodes.get(key);
    const cell = cellAt(key, r, c);
    if (!element) {
      const g = geometry;
      element = node("div", { role: "gridcell", class: "cell", tabindex: "-1", "aria-colindex": String(c + (g.gutter ? 2 : 1)) });
      element.style.left = g.left + (layout.form === "flow" ? c * (g.width + g.gap) : g.xs[c]) + "px";
      element.style.width = g.width + "px"; element.style.height = g.height + "px";
      if (!cell) element.classList.add("none");
      else if (layout.form === "flow") {
        const words = Layout.caption(layout, cell);
        const caption = node("span", { class: "caption", title: words }, words);
        caption.style.left = element.style.left; caption.style.width = g.width + "px"; caption.style.top = g.height + "px";
        element.caption = caption;
        insert(rowNode(r), caption, c + 0.5);
      }
      insert(rowNode(r), element, c);
      element.at = [r, c];
      cellNodes.set(key, element);
    }
    if (cell) {
      CellNode.fill(element, cell, geometry.width, flip && flip.name === cell.name ? flip.shown : null);
      element.classList.toggle("faded", Boolean(faded(cell)));
    }
    return element;
  };

  const currentKey = () => {
    const found = layout.find();
    return found === null ? null : layout.form === "flow" ? [found, Math.floor(found / geometry.perRow), found % geometry.perRow] : [found[0] * layout.columns.length + found[1], ...found];
  };

  const heads = () => {
    if (layout.form === "flow") { head.hidden = true; return; }
    head.hidden = false;
    const g = geometry, [left, right] = between(g.xs, frame.scrollLeft - OVERSCAN, frame.scrollLeft + frame.clientWidth + OVERSCAN);
    for (const [c, element] of headNodes) if (typeof c === "number" && (c < left || c > right)) { element.remove(); headNodes.delete(c); }
    for (let c = left; c <= right && c < layout.columns.length; c++) {
      const column = layout.columns[c], words = lineWords(column, View.x);
      if (!headNodes.has(c)) {
        const element = node("div", { role: "columnheader", class: "colhead" + (column.bare ? " bare" : ""), title: words, "aria-colindex": String(c + 2) }, node("span", {}, words));
        Object.assign(element.style, { left: g.left + g.xs[c] + "px", width: g.width + "px", top: (g.outer ? 26 : 0) + "px", height: g.headHeight - (g.outer ? 26 : 0) + "px" });
        headNodes.set(c, element); head.append(element);
      }
      if (g.outer && !headNodes.has("outer " + column.outer)) {
        const first = layout.columns.findIndex((one) => one.outer === column.outer), last = layout.columns.findLastIndex((one) => one.outer === column.outer);
        const block = column.outer === "bare" ? "no LoRA" : `${Model.axes[View.x2].name} ${valueOf(View.x2, column.outer)}`;
        const element = node("div", { class: "colblock", title: block }, node("b", {}, block));
        Object.assign(element.style, { left: g.left + g.xs[first] + "px", width: g.xs[last] + g.width - g.xs[first] + "px" });
        element.firstChild.style.left = g.gutter + "px";
        headNodes.set("outer " + column.outer, element); head.append(element);
      }
    }
  };

  const schedule = () => { if (!scheduled) scheduled = requestAnimationFrame(draw); };

  /** One frame: what left the neighbourhood goes, what is seen comes first, then what lies around it. */
  const draw = () => {
    scheduled = 0;
    if (!geometry || frame.hidden) return;
    const started = performance.now();
    const seen = windowOf(0), near = windowOf(OVERSCAN);
    const current = currentKey();
    const wanted = new Set(near.map(([key]) => key)), wantedRows = new Set(near.map(([, r]) => r));
    if (current) { wanted.add(current[0]); wantedRows.add(current[1]); }
    for (const [key, element] of cellNodes) if (!wanted.has(key)) { element.caption?.remove(); element.remove(); cellNodes.delete(key); }
    for (const [r, element] of rowNodes) if (!wantedRows.has(r)) { element.remove(); rowNodes.delete(r); }
    heads();
    let done = true;
    for (const [key, r, c] of [...(current ? [current] : []), ...seen, ...near]) {
      if (cellNodes.has(key) && !cellNodes.get(key).stale) continue;
      if (performance.now() - started > BUDGET_MS) { done = false; break; }
      putCell(key, r, c).stale = false;
    }
    for (const element of canvas.querySelectorAll(".cell.here")) if (!current || element !== cellNodes.get(current[0])) { element.classList.remove("here"); element.tabIndex = -1; }
    const here = current && cellNodes.get(current[0]);
    if (here) { here.classList.add("here"); here.tabIndex = 0; if (focusWanted) { focusWanted = false; here.focus({ preventScroll: true }); } }
    if (!done) schedule();
    else frame.dataset.settled = "1";
  };

  /** Fill the cells that are there anew: marks, states or pictures changed. */
  const refresh = () => { for (const element of cellNodes.values()) element.stale = true; frame.dataset.settled = ""; schedule(); };

  const corner = () => node("div", { class: "corner" }, node("span", {}, View.y >= 0 ? Model.axes[View.y].name : ""), node("span", {}, View.x >= 0 ? Model.axes[View.x].name + " →" : ""));

  /** Lay everything out anew. */
  const show = (made) => {
    const focused = frame.contains(document.activeElement);
    layout = made;
    geometry = measure();
    canvas.replaceChildren(head); head.replaceChildren();
    rowNodes.clear(); cellNodes.clear(); headNodes.clear();
    canvas.style.width = geometry.total[0] + "px"; canvas.style.height = geometry.total[1] + "px";
    head.style.width = geometry.total[0] + "px"; head.style.height = geometry.headHeight + "px";
    frame.style.setProperty("--gutter", geometry.gutter + "px");
    frame.style.setProperty("--lines", layout.everything ? "2" : "1");
    frame.classList.toggle("small", geometry.width < 96); frame.classList.toggle("tiny", geometry.width < 60);
    if (layout.form === "table") { const made = corner(); made.style.width = geometry.gutter + "px"; head.append(made); }
    frame.setAttribute("aria-rowcount", String(layout.form === "flow" ? geometry.rows : layout.rows.length + 1));
    frame.setAttribute("aria-colcount", String(layout.form === "flow" ? geometry.perRow : layout.columns.length + 1));
    if (!(layout.form === "flow" ? layout.cells.length : layout.rows.length && layout.columns.length)) canvas.append(node("p", { class: "nothing" }, "No cell matches the filter."));
    frame.dataset.settled = "";
    focusWanted = focused;
    draw();
  };

  const boxOf = ([, r, c]) => (layout.form === "flow"
    ? { left: geometry.left + c * (geometry.width + geometry.gap), top: geometry.top + r * (geometry.height + geometry.gap + geometry.caption) }
    : { left: geometry.left + geometry.xs[c], top: geometry.top + geometry.ys[r] });

  /** Scroll as little as needed so that the current cell is seen. */
  const reveal = (focus) => {
    const current = currentKey();
    if (!current) return;
    const { left, top } = boxOf(current), g = geometry;
    const low = [frame.scrollLeft + g.gutter, frame.scrollTop + g.headHeight], high = [frame.scrollLeft + frame.clientWidth - g.width - 8, frame.scrollTop + frame.clientHeight - g.height - 8 - (g.caption || 0)];
    if (left < low[0]) frame.scrollLeft = left - g.gutter - 4; else if (left > high[0]) frame.scrollLeft += left - high[0];
    if (top < low[1]) frame.scrollTop = top - g.headHeight - 2 - (View.y2 >= 0 ? 34 : 4); else if (top > high[1]) frame.scrollTop += top - high[1];
    if (focus) focusWanted = true;
    schedule();
  };

  /** Change the size of cells; what lies under `point` (else the current cell, if seen, else the middle) stays there. */
  const resize = (size, point) => {
    const current = currentKey();
    const old = geometry, rect = frame.getBoundingClientRect();
    let [x, y] = point ? [point[0] - rect.left, point[1] - rect.top] : [frame.clientWidth / 2, frame.clientHeight / 2];
    if (!point && current) {
      const { left, top } = boxOf(current);
      const middle = [left - frame.scrollLeft + old.width / 2, top - frame.scrollTop + old.height / 2];
      if (middle[0] > 0 && middle[1] > 0 && middle[0] < frame.clientWidth && middle[1] < frame.clientHeight) [x, y] = middle;
    }
    const fixed = anchor(x + frame.scrollLeft, y + frame.scrollTop);
    View.size = Math.round(Math.min(640, Math.max(40, size)));
    show(layout);
    const [toX, toY] = fixed();
    frame.scrollLeft = toX - x; frame.scrollTop = toY - y;
    schedule();
  };

  /** A function that says where the same spot lies once sizes have changed. */
  const anchor = (x, y) => {
    const g = geometry;
    if (layout.form === "flow") {
      const pitch = g.height + g.gap + g.caption, row = Math.max(0, Math.floor((y - g.top) / pitch));
      const index = Math.min(layout.cells.length - 1, row * g.perRow + Math.min(g.perRow - 1, Math.max(0, Math.floor((x - g.left) / (g.width + g.gap)))));
      const part = (y - g.top - row * pitch) / pitch;
      return () => [x, geometry.top + (Math.floor(index / geometry.perRow) + part) * (geometry.height + geometry.gap + geometry.caption)];
    }
    const spot = (starts, pixel) => { const [index] = between(starts, pixel, pixel); return [index, Math.min(1, (pixel - starts[index]) / Math.max(1, starts[index + 1] - starts[index]))]; };
    const [column, partX] = spot(g.xs, x - g.left), [row, partY] = spot(g.ys, y - g.top);
    const back = (starts, index, part) => starts[index] + part * ((starts[index + 1] ?? starts[index]) - starts[index]);
    return () => [geometry.left + back(geometry.xs, column, partX), geometry.top + back(geometry.ys, row, partY)];
  };

  /** Show another cell's picture in the place of a cell while a key is held; null ends it. */
  const flipTo = (name, shown) => { flip = name ? { name, shown } : null; refresh(); };

  /** How many rows a screen holds; for Page Up and Page Down. */
  const page = () => Math.max(1, Math.floor((frame.clientHeight - geometry.headHeight) / (geometry.height + geometry.gap + (geometry.caption || 0))) - 1);
  const perRow = () => (layout.form === "flow" ? geometry.perRow : layout.columns.length);

  const begin = (element) => {
    frame = element;
    head = node("div", { role: "row", class: "head", "aria-rowindex": "1" });
    canvas = node("div", { class: "canvas", role: "presentation" }, head);
    frame.append(canvas);
    frame.addEventListener("scroll", () => { frame.dataset.settled = ""; schedule(); }, { passive: true });
    frame.addEventListener("error", (event) => { if (event.target instanceof HTMLImageElement) CellNode.missing(event.target); }, true);
    new ResizeObserver(() => { if (layout) show(layout); }).observe(frame);
  };

  const width = () => geometry.width;

  return { begin, show, refresh, width, reveal, resize, flipTo, page, perRow, currentKey, layout: () => layout };
})();
