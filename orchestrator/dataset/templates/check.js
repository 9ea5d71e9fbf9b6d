
"use strict";
(() => {
  const cards = [...document.querySelectorAll(".one")];
  const chips = document.querySelector(".chips");
  const count = document.getElementById("count");
  const filters = [...document.querySelectorAll("[data-show], .chips [data-group]")];
  const show = (chosen) => {
    const index = chosen.dataset.show;
    const group = chosen.dataset.group;
    let shown = 0;
    for (const card of cards) {
      const fits = group !== undefined ? card.dataset.group === group : index === "" || card.dataset.findings.split(" ").includes(index);
      card.hidden = !fits;
      shown += fits;
    }
    for (const chip of chips.querySelectorAll("button")) {
      const same = group !== undefined ? chip.dataset.group === group : chip.dataset.show === index;
      chip.setAttribute("aria-pressed", String(same));
    }
    count.textContent = shown === cards.length ? "" : `${shown} of ${cards.length} pictures`;
  };
  chips.hidden = false;
  for (const button of filters) button.addEventListener("click", () => {
    show(button);
    if (!chips.contains(button)) document.getElementById("pictures").scrollIntoView({ behavior: "smooth" });
  });
  for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => {
    const field = document.createElement("textarea");
    field.value = button.dataset.copy;
    document.body.append(field);
    field.select();
    // the newer interface is not there for pages opened from the disk
    button.textContent = document.execCommand("copy") ? "copied" : "press Ctrl+C";
    field.remove();
  });
})();
