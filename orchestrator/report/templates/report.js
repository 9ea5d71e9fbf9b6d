"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const records = JSON.parse($("provenance").textContent);
  const links = [...document.querySelectorAll("[data-record]")];
  let at = -1;
  const spaced = (name) => name.replaceAll("_", " ");
  const words = (value) => {
    if (Array.isArray(value)) return value.map(words).join("\n");
    if (typeof value !== "object" || value === null) return String(value);
    return Object.entries(value).map(([name, inner]) => `${spaced(name)}: ${words(inner)}`).join("\n");
  };
  const node = (tag, text) => { const made = document.createElement(tag); made.textContent = text; return made; };
  const show = (index) => {
    if (index < 0 || index >= links.length) return;
    at = index;
    const record = records[Number(links[index].dataset.record)];
    $("large-label").textContent = `${record.label}  (${index + 1} / ${links.length})`;
    $("large-image").hidden = !record.file;
    $("large-error").hidden = Boolean(record.file);
    $("large-error").textContent = record.error;
    if (record.file) { $("large-image").src = record.file; $("large-image").alt = record.label; }
    const rows = Object.entries(record.made).filter(([, value]) => value !== null && value !== "" && value.length !== 0);
    $("large-made").replaceChildren(...(rows.length ? rows : [["how it was made", "not recorded"]]).flatMap(([name, value]) => [node("dt", spaced(name)), node("dd", words(value))]));
    $("large-previous").disabled = index === 0;
    $("large-next").disabled = index === links.length - 1;
    if (!$("large").open) $("large").showModal();
  };
  links.forEach((link, index) => link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;  // a new tab was asked for
    event.preventDefault();
    show(index);
  }));
  $("large-previous").addEventListener("click", () => show(at - 1));
  $("large-next").addEventListener("click", () => show(at + 1));
  $("large-close").addEventListener("click", () => $("large").close());
  $("large").addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229 || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowLeft") show(at - 1);
    if (event.key === "ArrowRight") show(at + 1);
  });
  $("large").addEventListener("close", () => { links[at]?.scrollIntoView({ block: "nearest" }); links[at]?.focus(); });
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const range = document.createRange();
      range.selectNodeContents($(button.dataset.copy));
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      // the newer interface is not there for pages opened from the disk
      button.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
    });
  }
  // a number leads to pictures that are folded away
  const unfold = () => {
    const part = location.hash.length > 1 && $(decodeURIComponent(location.hash.slice(1)));
    if (part && part.tagName === "DETAILS") { part.open = true; part.scrollIntoView(); part.querySelector("summary").focus(); }
  };
  addEventListener("hashchange", unfold);
  for (const link of document.querySelectorAll('a[href^="#cell-"]')) link.addEventListener("click", () => setTimeout(unfold));
  unfold();
  // what is folded away is printed too
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
})();
