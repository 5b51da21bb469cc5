// The way from one design to another as a waterfall: time by cause, energy by part.
(function (S) {
  "use strict";

  const facts = S.facts.waterfall;
  if (!facts) return;
  const picked = { from: "", to: "" };

  function draw(name, unit) {
    return function (at, plot) {
      const names = plot.table.heading.slice(1);
      const rows = new Map(plot.table.rows.map(function (row) { return [row[0], row.slice(1)]; }));
      const designs = Array.from(rows.keys());
      const offered = designs.map(function (design) { return [design, design]; });
      S.pick(name, picked, "from", facts.texts.picks.from, offered, designs[0]);
      S.pick(name, picked, "to", facts.texts.picks.to, offered, designs[designs.length - 1]);
      const one = rows.get(picked.from), other = rows.get(picked.to);
      const sum = function (values) { return values.reduce(function (a, b) { return a + b; }, 0); };
      const steps = names.map(function (piece, i) {
        return { name: piece, a: one[i], b: other[i], change: other[i] - one[i] };
      }).filter(function (step) { return step.a || step.b; })
        .sort(function (a, b) { return Math.abs(b.change) - Math.abs(a.change); });
      const change = sum(other) - sum(one);
      const figure = {
        data: [{
          type: "waterfall", orientation: "v",
          measure: ["absolute"].concat(steps.map(function () { return "relative"; }), ["total"]),
          x: [S.escaped(picked.from)].concat(steps.map(function (step) { return S.escaped(step.name); }), [S.escaped(picked.to) + " "]),
          y: [sum(one)].concat(steps.map(function (step) { return step.change; }), [0]),
          hovertemplate: "%{x}: %{delta:.4~g} " + unit + "<extra></extra>",
          decreasing: { marker: { color: "#009E73" } }, increasing: { marker: { color: "#D55E00" } },
          totals: { marker: { color: "#0072B2" } }, connector: { line: { color: "#999999", width: 1 } }
        }],
        layout: { height: 420, showlegend: false, yaxis: { title: { text: unit }, rangemode: "tozero" }, xaxis: { type: "category" } }
      };
      const heading = ["piece", picked.from + " (" + unit + ")", picked.to + " (" + unit + ")", "change (" + unit + ")", "share of the change"];
      const table = { heading: heading, rows: steps.map(function (step) {
        return [step.name, step.a, step.b, step.change, change ? step.change / change : 0];
      }).concat([["all", sum(one), sum(other), change, change ? 1 : 0]]) };
      return { figure: figure, table: table };
    };
  }

  S.live = S.live || {};
  ["waterfall-time", "waterfall-energy"].forEach(function (name, place) {
    S.live[name] = draw(name, facts.units[place]);
  });
})(window.STASim);
