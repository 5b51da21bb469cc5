// Which designs are shown, and in which order: sorted by a metric, filtered by name.
(function (S) {
  "use strict";

  const facts = S.facts;
  const place = document.getElementById("arrange");
  const all = facts.designs || [];
  const plain = new Map(all.map(function (name) { return [S.escaped(name), name]; }));
  const state = { metric: "", workload: "", reversed: false, filter: "" };

  // The designs that are shown, in order.
  S.designs = function () {
    const wanted = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
    const kept = all.filter(function (name) {
      const low = name.toLowerCase();
      return !wanted.length || wanted.some(function (word) { return low.includes(word); });
    });
    if (state.metric) {
      const values = S.metric(state.metric, state.workload);
      const value = function (name) { return name in values ? values[name] : Infinity; };
      kept.sort(function (a, b) { return value(a) - value(b); });
    }
    return state.reversed ? kept.reverse() : kept;
  };

  // Values of a metric by design; prices that the reader moved count (prices.js).
  S.metric = function (name, workload) { return (facts.metrics[name] || {})[workload] || {}; };

  // The design that the reader compares with.
  S.baseline = function () {
    const select = document.getElementById("against");
    return (S.chosen.baseline || (select ? select.value : all[0] || "")).split("@")[0];
  };

  // A table with the designs that are shown, in their order; other tables as they are.
  S.arrangedTable = function (table, ranked) {
    const byColumn = table.heading[0] === "field";
    if (byColumn) {
      const at = S.designs().map(function (name) { return table.heading.indexOf(name); })
        .filter(function (column) { return column > 0; });
      const pick = function (row) { return [row[0]].concat(at.map(function (i) { return row[i]; })); };
      return Object.assign({}, table, { heading: pick(table.heading), rows: table.rows.map(pick) });
    }
    const column = table.heading.indexOf("design");
    if (column < 0 || !all.length) return table;
    const rank = new Map(S.designs().map(function (name, at) { return [name, at]; }));
    const rows = table.rows.filter(function (row) { return rank.has(row[column]); });
    const group = table.heading.indexOf("workload");
    const order = new Map((facts.workloads || []).map(function (name, at) { return [name, at]; }));
    rows.sort(function (a, b) {
      const apart = group < 0 ? 0 : (order.get(a[group]) || 0) - (order.get(b[group]) || 0);
      return apart || (ranked && !state.metric ? 0 : rank.get(a[column]) - rank.get(b[column]));
    });
    return Object.assign({}, table, { rows: rows });
  };

  // A figure (a copy of ours) with the designs that are shown, in their order.
  // `ranked`: it has an order of its own, which holds as long as the reader chose none.
  S.arrangedFigure = function (figure, ranked) {
    if (all.length < 2) return figure;
    const designs = S.designs();
    const rank = new Map(designs.map(function (name, at) { return [name, at]; }));
    const of = function (trace) {
      return plain.has(trace.legendgroup) ? plain.get(trace.legendgroup) : plain.get(trace.name);
    };
    let rows = 0;
    figure.data = figure.data.filter(function (trace) {
      const own = of(trace);
      return own === undefined || rank.has(own);
    });
    figure.data.forEach(function (trace) {
      if (!Array.isArray(trace.y) || !trace.y.length) return;
      if (!trace.y.every(function (name) { return plain.has(name); })) return;
      rows = Math.max(rows, trace.y.length);
      const kept = trace.y.map(function (name) { return rank.has(plain.get(name)); });
      const length = trace.y.length;
      Object.keys(trace).forEach(function (key) {
        if (Array.isArray(trace[key]) && trace[key].length === length) {
          trace[key] = trace[key].filter(function (_, at) { return kept[at]; });
        }
      });
    });
    figure.data.sort(function (a, b) {
      return (rank.get(of(a)) ?? -1) - (rank.get(of(b)) ?? -1);
    });
    if (rows && ranked && !state.metric) return figure;
    if (rows) {
      const names = Array.from(plain).filter(function ([, name]) { return rank.has(name); })
        .sort(function (a, b) { return rank.get(a[1]) - rank.get(b[1]); });
      const axis = figure.layout.yaxis = figure.layout.yaxis || {};
      axis.categoryorder = "array";
      axis.categoryarray = names.map(function ([shown]) { return shown; });
      const height = figure.layout.height || 450;
      figure.layout.height = 170 + Math.max(height - 170, 40) * Math.max(designs.length, 1) / rows;
    }
    return figure;
  };

  function select(name, values, change) {
    const made = S.element("select", { id: "arrange-" + name });
    values.forEach(function ([value, shown]) { made.add(new Option(shown, value)); });
    made.addEventListener("change", function () { change(made.value); S.changed(); });
    return made;
  }

  if (!place || all.length < 2) return;
  state.workload = facts.workloads[0];
  const metrics = [["", place.dataset.given]].concat(
    Object.keys(facts.metrics).map(function (name) { return [name, name]; }));
  const filter = S.element("input", { type: "search", id: "arrange-filter", placeholder: place.dataset.names });
  filter.addEventListener("input", function () { state.filter = filter.value; S.changed(); });
  const reverse = S.element("button", {
    type: "button", id: "arrange-reverse", "aria-pressed": "false",
    onclick: function () {
      state.reversed = !state.reversed;
      reverse.setAttribute("aria-pressed", String(state.reversed));
      S.changed();
    }
  }, place.dataset.reverse);
  place.append(
    S.element("label", {}, place.dataset.sort, select("metric", metrics, function (value) { state.metric = value; })),
    S.element("label", {}, place.dataset.on, select("workload",
      facts.workloads.map(function (name) { return [name, name]; }),
      function (value) { state.workload = value; })),
    reverse,
    S.element("label", {}, place.dataset.filter, filter));
  place.hidden = false;

  // The sentences of the baseline that the reader chose.
  const against = document.getElementById("against");
  if (against) {
    against.addEventListener("change", function () {
      S.chosen.baseline = against.value;
      S.changed();
    });
    S.onChange(function () {
      const baseline = S.chosen.baseline || against.value;
      if (!Array.from(against.options).some(function (o) { return o.value === baseline; })) return;
      against.value = baseline;
      document.querySelectorAll(".verdict").forEach(function (sentence) {
        sentence.hidden = sentence.dataset.against !== baseline;
      });
    });
  }
})(window.STASim);
