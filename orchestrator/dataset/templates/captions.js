
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const entries = [...document.querySelectorAll(".entry")];
  const fields = [...document.querySelectorAll("textarea")];
  const save = document.getElementById("save");
  const said = document.getElementById("changed");
  const parts = (text) => text.split(",").map((part) => part.trim()).filter(Boolean);
  const before = new Map(fields.map((field) => [field, field.value]));
  const oneLine = (text) => text.split(/\s*[\r\n]+\s*/).map((part) => part.trim()).filter(Boolean).join(", ");
  const mark = (field) => {
    field.classList.toggle("changed", oneLine(field.value) !== before.get(field));
    const have = parts(field.value).map((part) => part.toLowerCase());
    for (const button of field.closest(".entry").querySelectorAll("[data-word]")) {
      button.setAttribute("aria-pressed", String(have.includes(button.dataset.word.toLowerCase())));
    }
    const count = document.querySelectorAll("textarea.changed").length;
    save.disabled = count === 0;
    said.textContent = count === 0 ? "nothing changed" : count === 1 ? "1 caption changed, not downloaded" : `${count} captions changed, not downloaded`;
  };
  for (const field of fields) { field.addEventListener("input", () => mark(field)); mark(field); }
  for (const button of document.querySelectorAll("[data-word]")) button.addEventListener("click", () => {
    const field = button.closest(".entry").querySelector("textarea");
    const word = button.dataset.word;
    const have = parts(field.value);
    const left = have.filter((part) => part.toLowerCase() !== word.toLowerCase());
    field.value = (left.length === have.length ? [...have, word] : left).join(", ");
    mark(field);
  });
  save.addEventListener("click", () => {
    const captions = fields.filter((field) => field.classList.contains("changed")).map((field) => ({
      sha256: field.dataset.sha256, group: field.dataset.group, file: field.dataset.file, was: before.get(field), caption: oneLine(field.value),
    }));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify({ format: data.format, captions }, null, 1)], { type: "application/json" }));
    link.download = "edited-captions.json";
    link.click();
    said.textContent = `${captions.length} downloaded as edited-captions.json`;
  });
  const filter = () => {
    const words = document.getElementById("find").value.toLowerCase();
    const only = document.getElementById("flagged").checked;
    for (const entry of entries) {
      const text = `${entry.querySelector("label").textContent} ${entry.querySelector("textarea").value}`.toLowerCase();
      entry.hidden = (only && entry.dataset.flagged !== "yes") || !text.includes(words);
    }
  };
  document.getElementById("find").addEventListener("input", filter);
  document.getElementById("flagged").addEventListener("change", filter);
  addEventListener("beforeunload", (event) => { if (said.textContent.includes("not downloaded")) event.preventDefault(); });
})();
