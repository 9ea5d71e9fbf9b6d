"use strict";
// The filter: words such as  epoch>=40 weight=0.6,0.8 s:failed star -smile  all of which must hold.
const Filter = (() => {
  const STATES = { failed: "failed", pending: "pending", ready: "ready", left: "left out", "left out": "left out" };
  const TOKEN = /(-?)(?:"([^"]*)"|([^\s"<>=!:]+))?(?:(<=|>=|!=|=|<|>|:)(?:"([^"]*)"|(\S*)))?/gy;
  const plain = (text) => text.toLowerCase().replaceAll(/[\s_-]+/g, " ").trim();
  const numeric = (text) => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : null);

  const compare = (sign, value, wanted) => {
    const one = numeric(value), other = numeric(wanted);
    const order = one !== null && other !== null ? one - other : value.localeCompare(wanted, undefined, { sensitivity: "base", numeric: true });
    return { "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0, "=": order === 0, "!=": order !== 0 }[sign];
  };

  /** `0.6-1.0` is a range, a number that number, anything else a part of the value. */
  const holds = (value, text) => {
    const range = /^(-?[\d.]+)-(-?[\d.]+)$/.exec(text);
    const own = numeric(value);
    if (own === null || (!range && numeric(text) === null)) return plain(value).includes(plain(text));
    return range ? own >= Number(range[1]) && own <= Number(range[2]) : own === numeric(text);
  };

  const axisTest = (axis, sign, text) => (cell) => {
    const value = Model.valueOf(cell, axis);
    if (value === null) return false;
    if (sign === ":") return text.split(",").some((part) => part !== "" && holds(value, part));
    // A value may hold a comma itself.
    if (sign === "=") return compare("=", value, text) || text.split(",").some((part) => part !== "" && compare("=", value, part));
    if (sign === "!=") return !compare("=", value, text) && text.split(",").every((part) => part === "" || compare("!=", value, part));
    return compare(sign, value, text);
  };

  /** A test of one token, or words saying what is wrong with it. */
  const testOf = (name, sign, text) => {
    if (sign) {
      const wanted = plain(name);
      if (sign === ":" && (wanted === "s" || wanted === "state")) return STATES[plain(text)] ? (cell) => cell.state === STATES[plain(text)] : "states are ready, failed, pending, left-out";
      if (sign === ":" && wanted === "is") return testOf(text, "", "");
      if (sign === ":" && wanted === "note") return (cell) => plain(Notes.of(cell).note || "").includes(plain(text));
      const axis = Model.axes.findIndex((one) => plain(one.name) === wanted);
      if (axis < 0) return `there is no axis “${name}”; there are ${Model.axes.map((one) => one.name.replaceAll(" ", "-")).join(", ")}`;
      return text === "" ? "a value is missing" : axisTest(axis, sign, text);
    }
    switch (plain(name)) {
      case "star": return (cell) => Boolean(Notes.of(cell).star);
      case "note": return (cell) => Boolean(Notes.of(cell).note);
      case "marked": return (cell) => Boolean(Notes.of(cell).star || Notes.of(cell).note);
      case "winner": return (cell) => Model.highlighted.has(cell.name);
      case "nolora": case "no lora": return (cell) => cell.bare;
      default: {
        const wanted = plain(name);
        return (cell) => plain(`${cell.label} ${Model.promptOf(cell)} ${Notes.of(cell).note || ""} ${cell.reason || ""}`).includes(wanted);
      }
    }
  };

  /** Read a filter: { test: cell => boolean, problems: [words] }. An empty one has test null. */
  const parse = (text) => {
    const tests = [], problems = [];
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.length) {
      if (/\s/.test(text[TOKEN.lastIndex])) { TOKEN.lastIndex++; continue; }
      const from = TOKEN.lastIndex;
      const found = TOKEN.exec(text);
      if (!found || found[0] === "") { TOKEN.lastIndex = from + 1; continue; }
      const [whole, not, quoted, word, sign, quotedValue, value] = found;
      const name = quoted ?? word ?? "";
      if (name === "") { problems.push(`“${whole}” is not understood`); continue; }
      const test = testOf(name, sign || "", quotedValue ?? value ?? "");
      if (typeof test === "string") problems.push(test);
      else tests.push(not ? (cell) => !test(cell) : test);
    }
    return { test: tests.length ? (cell) => tests.every((test) => test(cell)) : null, problems };
  };

  /** Names of the cells that match; null where nothing is asked for. */
  const matches = (text) => {
    const { test, problems } = parse(text);
    return { names: test ? new Set(Model.cells.filter(test).map((cell) => cell.name)) : null, problems };
  };

  /** Examples in words of this grid. */
  const examples = () => {
    const axis = Model.axes.find((one) => one.values.length > 1 && numeric(one.values[0]) !== null);
    const own = axis ? `${axis.name.replaceAll(" ", "-")}>=${axis.values[Math.floor(axis.values.length / 2)]}` : "smile";
    return `${own} s:failed star`;
  };

  return { parse, matches, examples };
})();
