"use strict";
// One to four pictures in full size with one zoom for all: what is looked at stays in the middle of each of them.
const Stage = (() => {
  const { node } = CellNode;
  const zoom = { times: 1, x: 0.5, y: 0.5 };   // times of "fits"; the middle as a share of the picture
  const pointers = new Map();
  let frame, panes = [], mode = "side", swiped = null, begun = null;

  const sizeOf = (pane) => {
    const { image, cell } = pane, recipe = cell && Model.recipeOf(cell);
    return [image.naturalWidth || recipe?.width || Model.box.width, image.naturalHeight || recipe?.height || Model.box.height];
  };
  const fitOf = (pane) => { const [width, height] = sizeOf(pane); return Math.min(pane.room.clientWidth / width, pane.room.clientHeight / height) || 1; };

  const place = () => {
    for (const pane of panes) {
      const [width, height] = sizeOf(pane), scale = fitOf(pane) * zoom.times;
      const along = (room, length, share) => (length * scale <= room ? (room - length * scale) / 2 : Math.min(0, Math.max(room - length * scale, room / 2 - share * length * scale)));
      const left = along(pane.room.clientWidth, width, zoom.x), top = along(pane.room.clientHeight, height, zoom.y);
      Object.assign(pane.image.style, { width: width + "px", height: height + "px", transform: `translate(${left}px, ${top}px) scale(${scale})` });
      pane.image.classList.toggle("pixels", scale * devicePixelRatio >= 3);
      pane.place = { left, top, scale, width, height };
    }
    frame.classList.toggle("zoomed", zoom.times > 1.01);
    frame.dataset.zoom = `${zoom.times.toFixed(3)} ${zoom.x.toFixed(3)} ${zoom.y.toFixed(3)}`;
  };

  /** Keep the middle inside, so that panning never has to come back from nowhere. */
  const settle = () => {
    const pane = panes[0];
    if (!pane) return;
    const [width, height] = sizeOf(pane), scale = fitOf(pane) * zoom.times;
    const half = (room, length) => Math.min(0.5, room / 2 / (length * scale));
    const [x, y] = [half(pane.room.clientWidth, width), half(pane.room.clientHeight, height)];
    zoom.x = Math.min(1 - x, Math.max(x, zoom.x)); zoom.y = Math.min(1 - y, Math.max(y, zoom.y));
    place();
  };

  /** Zoom by a factor; what lies under `point` (client pixels in `pane`) stays there. */
  const zoomBy = (factor, point, pane = panes[0]) => {
    if (!pane) return;
    const before = fitOf(pane) * zoom.times, smallest = Math.min(1, 1 / fitOf(pane));
    zoom.times = Math.min(40, Math.max(smallest, zoom.times * factor));
    if (Math.abs(zoom.times - 1) < 0.02) zoom.times = 1;
    if (point) {
      const rect = pane.room.getBoundingClientRect(), [width, height] = sizeOf(pane), after = fitOf(pane) * zoom.times;
      const [dx, dy] = [point[0] - rect.left - rect.width / 2, point[1] - rect.top - rect.height / 2];
      zoom.x += (dx / before - dx / after) / width; zoom.y += (dy / before - dy / after) / height;
    }
    settle();
  };

  const pan = (dx, dy) => {
    const pane = panes[0];
    if (!pane) return;
    const [width, height] = sizeOf(pane), scale = fitOf(pane) * zoom.times;
    zoom.x -= dx / (width * scale); zoom.y -= dy / (height * scale);
    settle();
  };

  /** Fits, then every pixel, then two for one. */
  const next = () => {
    if (!panes[0]) return;
    const whole = 1 / fitOf(panes[0]);
    const steps = [1, whole, 2 * whole].filter((value, index, all) => all.findIndex((one) => Math.abs(one - value) < 0.05) === index).sort((a, b) => a - b);
    const at = steps.findIndex((value) => Math.abs(value - zoom.times) < 0.05);
    zoom.times = at < 0 ? 1 : steps[(at + 1) % steps.length];
    settle();
  };
  const words = () => {
    if (!panes[0]) return "";
    return Math.abs(zoom.times - 1) < 0.01 ? "fits" : `${Math.round(fitOf(panes[0]) * zoom.times * 100)} %`;
  };
  const reset = () => { Object.assign(zoom, { times: 1, x: 0.5, y: 0.5 }); };

  const makePane = () => {
    const image = node("img", { alt: "", decoding: "sync", draggable: "false" });
    const room = node("div", { class: "room" }, image), label = node("p", { class: "label" });
    const pane = { image, room, label, element: node("div", { class: "pane" }, room, label), cell: null };
    image.addEventListener("load", place);
    image.addEventListener("error", () => empty(pane, { state: "failed", reason: "The file is not there any more: " + decodeURIComponent(pane.cell.picture) }));
    return pane;
  };
  const empty = (pane, cell) => {
    pane.image.hidden = true; pane.image.removeAttribute("src");
    pane.room.querySelector(".empty")?.remove();
    pane.room.append(CellNode.placeholder(cell));
  };

  /** Show cells, each with its label; `active` is the one that arrows change. */
  const show = (cells, labels, active, how) => {
    while (panes.length < cells.length) { const pane = makePane(); panes.push(pane); frame.append(pane.element); }
    while (panes.length > cells.length) panes.pop().element.remove();
    mode = cells.length > 1 ? how : "side";
    frame.dataset.mode = mode; frame.dataset.panes = String(cells.length);
    cells.forEach((cell, index) => {
      const pane = panes[index];
      pane.element.classList.toggle("active", cells.length > 1 && index === active);
      pane.element.classList.toggle("under", mode !== "side" && index === 0);
      pane.element.hidden = mode !== "side" && index !== 0 && index !== active;
      pane.label.hidden = cells.length < 2;
      pane.label.replaceChildren(node("b", {}, String(index + 1)), " " + labels[index]);
      pane.cell = cell;
      if (cell.state === "ready") {
        pane.room.querySelector(".empty")?.remove();
        pane.image.hidden = false; pane.image.alt = cell.label;
        if (pane.image.getAttribute("src") !== cell.picture) pane.image.src = cell.picture;
      } else empty(pane, cell);
    });
    place();
  };
  const clear = () => { for (const pane of panes) pane.element.remove(); panes = []; };

  const wipe = (percent) => frame.style.setProperty("--wipe", percent + "%");

  const pointed = (event) => panes.find((pane) => pane.element.contains(event.target)) || panes[0];
  const distance = () => { const [a, b] = [...pointers.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]); };

  const begin = (element, onSwipe, onPane, onZoom) => {
    frame = element;
    frame.addEventListener("wheel", (event) => { event.preventDefault(); zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), [event.clientX, event.clientY], pointed(event)); onZoom(); }, { passive: false });
    frame.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      try { frame.setPointerCapture(event.pointerId); } catch { /* the pointer is gone already */ }
      swiped = zoom.times <= 1.01 && pointers.size === 1 && event.pointerType !== "mouse" ? [event.clientX, event.clientY] : null;
      begun = pointed(event);
      onPane(panes.indexOf(begun));
    });
    frame.addEventListener("pointermove", (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      const before = pointers.size === 2 ? distance() : 0;
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      if (pointers.size === 2) {
        const [a, b] = [...pointers.values()];
        zoomBy(distance() / Math.max(1, before), [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], begun);
        onZoom();
      } else if (!swiped) pan(event.clientX - last[0], event.clientY - last[1]);
    });
    const end = (event) => {
      if (!pointers.delete(event.pointerId)) return;
      if (swiped && event.type === "pointerup") {
        const [dx, dy] = [event.clientX - swiped[0], event.clientY - swiped[1]];
        if (Math.max(Math.abs(dx), Math.abs(dy)) > 48) onSwipe(Math.abs(dx) > Math.abs(dy) ? (dx < 0 ? "right" : "left") : dy < 0 ? "down" : "up");
      }
      swiped = null;
    };
    for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, end);
    new ResizeObserver(settle).observe(frame);
  };

  return { begin, show, clear, zoomBy, pan, next, words, reset, wipe, state: zoom };
})();
