// The way from one design to another as a waterfall: time by cause, energy by part.
(function (S) {
  "use strict";

  const told = S.told.waterfall;
  if (!told) return;
  const picked = { from: "", to: "" };

  function picks(name, designs) {
    const card = document.getElementById("card-" + name);
    if (card.querySelector(".pair")) return;
    const line = S.element("div", { class: "picks pair" });
    ["from", "to"].forEach(function (key) {
      const select = S.element("select", { "data-pair": key });
      designs.forEach(function (design) { select.add(new Option(design, design)); });
      select.addEventListener("change", function () { picked[key] = select.value; S.changed(); });
      line.append(S.element("label", {}, told.texts.picks[key], select));
    });
    card.querySelector(".note").before(line);
  }

  function draw(name, unit) {
    return function (at, plot) {
      const names = plot.table.heading.slice(1);
      const rows = new Map(plot.table.rows.map(function (row) { return [row[0], row.slice(1)]; }));
      const designs = Array.from(rows.keys());
      picks(name, designs);
      if (!rows.has(picked.from)) picked.from = designs[0];
      if (!rows.has(picked.to)) picked.to = designs[designs.length - 1];
      document.querySelectorAll("#card-" + name + " [data-pair]").forEach(function (select) {
        select.value = picked[select.dataset.pair];
      });
      const one = rows.get(picked.from), other = rows.get(picked.to);
      const sum = function (values) { return values.reduce(function (a, b) { return a + b; }, 0); };
      const steps = names.map(function (piece, i) {
        return { name: piece, a: one[i], b: other[i], change: other[i] - one[i] };
      }).filter(function (step) { return step.a || step.b; })
        .sort(function (a, b) { return Math.abs(b.change) - Math.abs(a.change); });
      const whole = sum(other) - sum(one);
      const figure = {
        data: [{
          type: "waterfall", orientation: "v",
          measure: ["absolute"].concat(steps.map(function () { return "relative"; }), ["total"]),
          x: [picked.from].concat(steps.map(function (step) { return step.name; }), [picked.to + " "]),
          y: [sum(one)].concat(steps.map(function (step) { return step.change; }), [0]),
          hovertemplate: "%{x}: %{delta:.4~g} " + unit + "<extra></extra>",
          decreasing: { marker: { color: "#009E73" } }, increasing: { marker: { color: "#D55E00" } },
          totals: { marker: { color: "#0072B2" } }, connector: { line: { color: "#999999", width: 1 } }
        }],
        layout: { height: 420, showlegend: false, yaxis: { title: { text: plot.axis || unit }, rangemode: "tozero" }, xaxis: { type: "category" } }
      };
      const heading = ["piece", picked.from + " (" + unit + ")", picked.to + " (" + unit + ")", "change (" + unit + ")", "share of the change"];
      const table = { heading: heading, rows: steps.map(function (step) {
        return [step.name, step.a, step.b, step.change, whole ? step.change / whole : 0];
      }).concat([["all", sum(one), sum(other), whole, whole ? 1 : 0]]) };
      return { figure: figure, table: table };
    };
  }

  S.live = S.live || {};
  ["waterfall-time", "waterfall-energy"].forEach(function (name, place) {
    S.live[name] = draw(name, told.units[place]);
  });
})(window.STASim);
