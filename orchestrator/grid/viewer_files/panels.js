"use strict";
// The panels: layout and hidden values, stars and notes, keys; and the bar of pages.
const Panels = (() => {
  const $ = (id) => document.getElementById(id);
  const { node } = CellNode;
  const PLACES = [["x", "columns"], ["y", "rows"], ["x2", "outer columns"], ["y2", "outer rows"], ["page", "pages"]];
  const TABS = 6, TAB_LETTERS = 60, SLIDER_FROM = 8;

  const open = (id) => { const panel = $(id); if (!panel.open) { fill[id](); panel.showModal(); } };

  const button = (words, action, attributes = {}) => { const made = node("button", { type: "button", ...attributes }, words); made.addEventListener("click", action); return made; };

  const layout = () => {
    const focused = document.activeElement?.dataset?.spot;
    $("layout-axes").replaceChildren(...Model.axes.map((axis, index) => {
      const hidden = View.hidden[index];
      const select = node("select", { "aria-label": `Where ${axis.name} lies`, "data-spot": `place ${index}` }, ...PLACES.map(([value, words]) => node("option", { value }, words)));
      select.value = View.placeOf(index);
      select.addEventListener("change", () => { View.put(index, select.value); App.relayout(); layout(); });
      const chips = axis.values.length < 2 ? [] : axis.values.map((value, at) => button(value, () => { toggle(index, at); layout(); },
        { class: "chip", "aria-pressed": String(!hidden.has(at)), title: hidden.has(at) ? "hidden" : "shown", "data-spot": `value ${index} ${at}` }));
      return node("section", {}, node("div", { class: "axis" }, node("h3", {}, axis.name), axis.values.length < 2 ? node("span", { class: "soft" }, axis.values[0] ?? "") : select,
        ...(hidden.size ? [node("span", { class: "soft" }, `${hidden.size} hidden`)] : [])), node("div", { class: "chips" }, ...chips));
    }));
    $("layout-bare").hidden = !Model.hasBare;
    $("bare-shown").checked = !View.hideBare;
    $("theme").value = View.theme;
    if (focused) document.querySelector(`[data-spot="${CSS.escape(focused)}"]`)?.focus();
  };

  /** Hide or show a value; the last one of an axis stays. */
  const toggle = (axis, index) => {
    const hidden = View.hidden[axis];
    if (!hidden.delete(index)) {
      if (hidden.size + 1 >= Model.axes[axis].values.length) { App.say("One value has to stay"); return; }
      hidden.add(index);
    }
    App.relayout();
  };

  const marks = () => {
    const all = Notes.all();
    $("marks-list").replaceChildren(...all.map(([cell, mark]) => {
      const link = button(cell.label, () => { $("marks").close(); App.goTo(cell); Large.open(); }, { class: "link" });
      return node("li", {}, ...(cell.thumb || cell.picture ? [node("img", { src: cell.thumb || cell.picture, alt: "", loading: "lazy", decoding: "async" })] : []), node("div", {}, link, ...(mark.star ? [node("span", { class: "mark star", title: "starred" }, "★")] : []), node("p", {}, mark.note)));
    }));
    if (!all.length) $("marks-list").append(node("li", { class: "soft" }, "None yet. K stars the cell you are at, N writes a note on it."));
    $("marks-where").textContent = Notes.where();
    $("marks-only").disabled = !all.length;
  };

  const exportMarks = () => {
    const url = URL.createObjectURL(new Blob([Notes.exported()], { type: "application/json" }));
    const link = node("a", { href: url, download: `${Model.data.name.replaceAll(/[^\p{L}\p{N} _-]+/gu, "-")} stars and notes.json` });
    $("marks").append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };
  const importMarks = async () => {
    const [file] = $("marks-file").files;
    if (!file) return;
    try { App.say(Notes.imported(await file.text())); } catch (problem) { App.say(problem.message); }
    $("marks-file").value = "";
    App.marksChanged();
    marks();
  };

  const help = () => {
    $("help-keys").replaceChildren(...Keys.LIST.flatMap(([keys, words]) => [node("dt", {}, ...keys.split(" ").flatMap((key, index) => [index ? " " : "", /^(hold|and|with)$/.test(key) ? key : node("kbd", {}, key)])), node("dd", {}, words)]));
    $("help-filter").textContent = 'epoch>=40  weight=0.6,0.8  weight:0.6-1.0  seed!=123  s:failed  star  note  winner  nolora  smile  -hat  "two words"';
    $("keys-on").checked = View.keys;
  };
  const fill = { layout, marks, help };

  /** One control for every axis that is a page: tabs when they are few and short, else a slider with the value. */
  const pages = () => {
    const bar = $("pages"), focused = document.activeElement?.dataset?.spot;
    const axes = View.list ? [] : View.pageAxes();
    bar.hidden = !axes.length;
    bar.replaceChildren(...axes.map((axis, order) => {
      const { name, values } = Model.axes[axis], shown = View.shown(axis), at = shown.indexOf(View.at[axis]);
      const go = (index) => App.toPage(axis, index);
      const step = (by, sign, words) => button(sign, () => go(shown[at + by]), { "aria-label": words, title: order ? "" : `${words}  ${by < 0 ? "[" : "]"}`, "data-spot": `${words} ${axis}`, ...(shown[at + by] === undefined ? { disabled: "" } : {}) });
      const few = shown.length <= TABS && shown.reduce((sum, index) => sum + values[index].length, 0) <= TAB_LETTERS;
      const group = node("div", { class: "pageaxis", role: "group", "aria-label": name }, node("span", { class: "soft" }, name));
      if (few) group.append(node("span", { class: "tabs" }, ...shown.map((index) => button(values[index], () => go(index), { "aria-pressed": String(index === View.at[axis]), "data-spot": `tab ${axis} ${index}` }))));
      else {
        const select = node("select", { "aria-label": name, "data-spot": `select ${axis}` }, ...shown.map((index) => node("option", { value: String(index) }, values[index])));
        select.value = String(View.at[axis]);
        select.addEventListener("change", () => go(Number(select.value)));
        const slider = shown.length <= SLIDER_FROM ? "" : node("input", { type: "range", min: "0", max: String(shown.length - 1), "aria-label": name, "aria-valuetext": values[View.at[axis]], "data-spot": `slider ${axis}` });
        if (slider) {
          slider.value = String(Math.max(0, at));
          slider.addEventListener("input", () => go(shown[Number(slider.value)]));
        }
        group.append(step(-1, "[", "previous " + name), select, step(1, "]", "next " + name), slider, node("span", { class: "soft" }, `${at + 1} / ${shown.length}`));
      }
      return group;
    }));
    if (Table.layout()?.carrier === "page" && axes.length) bar.append(button("no LoRA", () => App.act("bare"), { "aria-pressed": String(View.bare), title: "0" }));
    if (focused) bar.querySelector(`[data-spot="${CSS.escape(focused)}"]`)?.focus();
  };

  const begin = () => {
    for (const id of ["layout", "marks", "help"]) $(id + "-open").addEventListener("click", () => open(id));
    // a click beside a panel closes it
    for (const id of ["layout", "marks", "help"]) $(id).addEventListener("click", (event) => { if (event.target === $(id)) $(id).close(); });
    $("marks-export").addEventListener("click", exportMarks);
    $("marks-import").addEventListener("click", () => $("marks-file").click());
    $("marks-file").addEventListener("change", importMarks);
    $("marks-only").addEventListener("click", () => { $("marks").close(); View.list = true; App.setFilter("marked"); });
    $("bare-shown").addEventListener("change", () => { View.hideBare = !$("bare-shown").checked; App.relayout(); });
    $("theme").addEventListener("change", () => { View.theme = $("theme").value; App.theme(); View.keep(); });
    $("keys-on").addEventListener("change", () => { View.keys = $("keys-on").checked; View.keep(); });
  };

  return { begin, open, pages, refill: () => { for (const id of ["layout", "marks"]) if ($(id).open) fill[id](); } };
})();
