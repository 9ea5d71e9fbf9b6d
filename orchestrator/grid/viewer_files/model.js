"use strict";
// The grid as data.js brings it: cells by place, axes, labels. Knows nothing of the page.
const Model = (() => {
  const model = { axes: [], cells: [], byPlace: new Map(), highlighted: new Set(), box: { width: 1, height: 1 } };

  /** A place's name: the index on every axis, "-" on LoRA axes where nothing is taken from them. */
  const nameOf = (at) => at.map((index) => (index === null ? "-" : index)).join(",");

  /** Take what data.js says now. Returns whether the axes are others than before. */
  const take = (data) => {
    const shape = JSON.stringify([data.axes, data.x, data.y]);
    const changed = shape !== model.shape;
    const byPlace = new Map();
    for (const cell of data.cells) {
      cell.name = nameOf(cell.at);
      cell.bare = cell.at.includes(null);
      byPlace.set(cell.name, cell);
    }
    Object.assign(model, { data, shape, byPlace, axes: data.axes, cells: data.cells, box: data.box });
    model.highlighted = new Set(data.highlighted.map(nameOf));
    model.hasBare = data.cells.some((cell) => cell.bare);
    return changed;
  };

  const count = (state) => model.cells.reduce((sum, cell) => sum + (cell.state === state), 0);

  /** The whole recipe of a cell; null where it is left out. */
  const recipeOf = (cell) => (cell.recipe ? { ...model.data.shared, ...cell.recipe } : null);

  /** The place without LoRA for that place. */
  const bareOf = (at) => at.map((index, axis) => (model.axes[axis].lora ? null : index));

  const valueOf = (cell, axis) => (cell.at[axis] === null ? null : model.axes[axis].values[cell.at[axis]]);

  /** A place in words and values, which outlive a grid that grew: ["40", "0.8", "123"], null = without LoRA. */
  const toValues = (at) => at.map((index, axis) => (index === null ? null : model.axes[axis].values[index]));

  /** The inverse of toValues; null where the grid does not have that place. */
  const fromValues = (values) => {
    if (!Array.isArray(values) || values.length !== model.axes.length) return null;
    const at = values.map((value, axis) => (value === null && model.axes[axis].lora ? null : model.axes[axis].values.indexOf(value)));
    return at.includes(-1) ? null : at;
  };

  /** What marks are kept under: the values by axis name, in an order of their own. */
  const identityOf = (cell) => JSON.stringify(
    model.axes.map((axis, index) => [axis.name, valueOf(cell, index)]).filter(([, value]) => value !== null)
      .sort(([a], [b]) => (a < b ? -1 : 1)));

  /** How two places differ, as names of axes; for "no LoRA" one word. */
  const differences = (one, other) => {
    if (one.bare !== other.bare) return ["LoRA"];
    return model.axes.filter((_, index) => one.at[index] !== other.at[index]).map((axis) => axis.name);
  };

  const number = (value) => (Number.isFinite(value) ? String(Number(value.toFixed(6))) : String(value));

  /** The prompt as A1111 gets it, LoRA tags in front. */
  const promptOf = (cell) => {
    const recipe = recipeOf(cell);
    if (!recipe) return "";
    const tags = (recipe.loras || []).map((lora) => `<lora:${lora.stem}:${number(lora.weight)}>`);
    return [...tags, recipe.prompt || ""].join(" ").trim();
  };

  /** Prompt and settings as A1111 writes and reads them (its "parameters"). */
  const parametersOf = (cell) => {
    const recipe = recipeOf(cell);
    if (!recipe) return "";
    const settings = [["Steps", recipe.steps], ["Sampler", recipe.sampler], ["Schedule type", recipe.scheduler], ["CFG scale", recipe.cfg_scale], ["Seed", recipe.seed],
      ["Size", recipe.width && `${recipe.width}x${recipe.height}`], ["Model hash", (recipe.checkpoint_hash || "").slice(0, 10)], ["Denoising strength", recipe.denoising_strength],
      ["Clip skip", recipe.clip_skip > 1 ? recipe.clip_skip : ""]];
    const line = settings.filter(([, value]) => value !== undefined && value !== null && value !== "").map(([name, value]) => `${name}: ${value}`).join(", ");
    return [promptOf(cell), recipe.negative_prompt ? `Negative prompt: ${recipe.negative_prompt}` : "", line].filter(Boolean).join("\n");
  };

  return Object.assign(model, { nameOf, take, count, recipeOf, bareOf, valueOf, toValues, fromValues, identityOf, differences, promptOf, parametersOf });
})();
