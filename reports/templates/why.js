// The way from one design to another as a waterfall: time by cause, energy by part.
(function (S) {
  "use strict";

  const facts = S.facts.waterfall;
  if (!facts) return;
  const picked = { "waterfall-time": { from: "", to: "" }, "waterfall-energy": { from: "", to: "" } };

  function draw(name, unit) {
    return function (at, plot) {
      const moved = name === "waterfall-energy" && S.prices ? S.prices.pieces(at[0]) : null;
      const names = moved
        ? Array.from(new Set(moved.flatMap(function (each) { return Array.from(each[1].keys()); })))
        : plot.table.heading.slice(1);
      const rows = moved
        ? new Map(moved.map(function ([design, parts]) {
          return [design, names.map(function (part) { return parts.get(part) || 0; })];
        }))
        : new Map(plot.table.rows.map(function (row) { return [row[0], row.slice(1)]; }));
      const sum = function (values) { return values.reduce(function (a, b) { return a + b; }, 0); };
      const designs = Array.from(rows.keys());
      const offered = designs.map(function (design) { return [design, design]; });
      if (designs.length < 2) return { figure: null, table: { heading: ["design"], rows: [] } };
      // At first from the reader's baseline to who takes least.
      const least = designs.reduce(function (a, b) { return sum(rows.get(b)) < sum(rows.get(a)) ? b : a; });
      const base = designs.includes(S.baseline()) ? S.baseline() : designs[0];
      const other = least === base ? designs.find(function (design) { return design !== base; }) : least;
      S.pick(name, picked[name], "from", facts.texts.picks.from, offered, base);
      S.pick(name, picked[name], "to", facts.texts.picks.to, offered, other);
      const [from, to] = [picked[name].from, picked[name].to];
      const one = rows.get(from), two = rows.get(to);
      const steps = names.map(function (piece, i) {
        return { name: piece, a: one[i], b: two[i], change: two[i] - one[i] };
      }).filter(function (step) { return step.a || step.b; })
        .sort(function (a, b) { return Math.abs(b.change) - Math.abs(a.change); });
      const change = sum(two) - sum(one);
      const figure = {
        data: [{
          type: "waterfall", orientation: "v",
          measure: ["absolute"].concat(steps.map(function () { return "relative"; }), ["total"]),
          x: [S.escaped(from)].concat(steps.map(function (step) { return S.escaped(step.name); }), [S.escaped(to) + " "]),
          y: [sum(one)].concat(steps.map(function (step) { return step.change; }), [0]),
          hovertemplate: "%{x}: %{delta:,.4~r} " + unit + "<extra></extra>",
          decreasing: { marker: { color: "#009E73" } }, increasing: { marker: { color: "#D55E00" } },
          totals: { marker: { color: "#0072B2" } }, connector: { line: { color: "#999999", width: 1 } }
        }],
        layout: { height: 420, showlegend: false, yaxis: { title: { text: unit }, rangemode: "tozero" }, xaxis: { type: "category" } }
      };
      const heading = ["piece", from + " (" + unit + ")", to + " (" + unit + ")", "change (" + unit + ")", "share of the change"];
      const table = { heading: heading, rows: steps.map(function (step) {
        return [step.name, step.a, step.b, step.change, change ? step.change / change : 0];
      }).concat([["all", sum(one), sum(two), change, change ? 1 : 0]]) };
      return { figure: figure, table: table, note: moved ? facts.texts.moved : plot.note };
    };
  }

  S.live = S.live || {};
  ["waterfall-time", "waterfall-energy"].forEach(function (name, place) {
    S.live[name] = draw(name, facts.units[place]);
  });
})(window.STASim);
