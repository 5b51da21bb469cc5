// Prices that can be dragged: energies from counts and prices, in the steps of simulator/results/moved.py.
(function (S) {
  "use strict";

  const data = JSON.parse(document.getElementById("price-data").textContent);
  const place = document.getElementById("prices");
  S.live = {};
  if (!place || !data.runs.length) return;
  const words = data.texts;
  const DRAM = "memories.dram", ON = "always on", HAND = "by hand";
  const SRAM = ["sram_read", "sram_write"];
  const PJ_PER_MW_MS = 1e6, PJ_PER_UJ = 1e6;

  // Sourced: null for a price that each machine has of its own, else what leaves prices as they are.
  const KNOBS = {
    dram: { option: "--dram-pj-per-bit", sourced: null, low: 0.1, high: 100, log: true },
    standby: { option: "--dram-standby-mw", sourced: 0, low: 0, high: 4000 },
    always: { option: "--always-on-mw", sourced: 0, low: 0, high: 4000 },
    sram: { option: "--sram-factor", sourced: 1, low: 0.05, high: 50, log: true },
    pe: { option: "--pe-factor", sourced: 1, low: 0.05, high: 100, log: true }
  };
  const CHOICES = { table: { option: "--table", values: data.tables }, cells: { option: "--sram-cells", values: data.cells } };
  const setting = Object.assign({ table: "", cells: "" }, sourced());

  function sourced() {
    return Object.fromEntries(Object.entries(KNOBS).map(function ([name, knob]) { return [name, knob.sourced]; }));
  }

  // The sum, rounded once, as Python's math.fsum gives it (Shewchuk).
  function fsum(values) {
    const partials = [];
    values.forEach(function (x) {
      let kept = 0;
      for (let y of partials) {
        if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x];
        const high = x + y;
        const low = y - (high - x);
        if (low) partials[kept++] = low;
        x = high;
      }
      partials.length = kept;
      partials.push(x);
    });
    let n = partials.length, high = 0, low = 0;
    if (n) high = partials[--n];
    while (n > 0) {
      const x = high, y = partials[--n];
      high = x + y;
      low = y - (high - x);
      if (low) break;
    }
    // Half-way cases round to even over all partials.
    if (n > 0 && ((low < 0 && partials[n - 1] < 0) || (low > 0 && partials[n - 1] > 0))) {
      const y = low * 2, x = high + y;
      if (y === x - high) high = x;
    }
    return high;
  }

  function total(spans) {
    return [0, 1, 2].map(function (i) { return fsum(spans.map(function (span) { return span[i]; })); });
  }

  // A run's entries under a table, with their names; undefined without prices.
  function pricedOf(run, table) {
    const found = run.priced[table];
    if (found === "same") return pricedOf(run, "");
    if (found && !found.named) {
      const named = function ([name, ...rest]) { return [...data.names[name], ...rest]; };
      found.entries = found.entries.map(named);
      Object.keys(found.cells).forEach(function (each) { found.cells[each] = found.cells[each].map(named); });
      found.named = true;
    }
    return found;
  }

  // The entries of a run under a setting: {part, action, cause, span}; null without prices.
  function entriesOf(run, at) {
    const priced = pricedOf(run, at.table);
    if (!priced) return null;
    const leak = at.cells ? priced.cells[at.cells].slice() : null;
    const entries = priced.entries.filter(function (entry) { return !leak || entry[2] !== "sram_leakage"; })
      .concat(leak || []).map(function ([part, action, cause, low, nominal, high, isPe]) {
        let span = [low, nominal, high];
        const bit = part === DRAM ? data.bits.indexOf(action) : -1;
        if (at.dram !== null && bit >= 0) {
          const energy = run.bits[bit] * at.dram;
          span = [energy, energy, energy];
        } else if (SRAM.includes(cause)) {
          span = span.map(function (each) { return at.sram * each; });
        } else if (isPe) {
          span = span.map(function (each) { return at.pe * each; });
        }
        return { part: part, action: action, cause: cause, span: span };
      });
    [[DRAM, at.standby], ["chip", at.always]].forEach(function ([part, power]) {
      if (!power) return;
      const energy = 1e3 * power * run.latency_ms * 1e3;
      entries.push({ part: part, action: ON, cause: HAND, span: [energy, energy, energy] });
    });
    // A price of a bit holds its rows and all its causes: those would be paid twice.
    if (at.dram === null) return entries;
    const seen = new Set();
    return entries.filter(function (entry) {
      if (entry.part !== DRAM || entry.action === ON) return true;
      const kept = data.bits.includes(entry.action) && !seen.has(entry.action);
      seen.add(entry.action);
      return kept;
    });
  }

  function energyOf(run, at) {
    const entries = entriesOf(run, at);
    return entries && total(entries.map(function (entry) { return entry.span; }));
  }

  function runsOf(workload) { return data.runs.filter(function (run) { return run.workload === workload; }); }
  function isMoved() {
    return Boolean(setting.table || setting.cells) ||
      Object.keys(KNOBS).some(function (name) { return setting[name] !== KNOBS[name].sourced; });
  }
  function estimate(span) { return { v: span[1] / PJ_PER_UJ, l: span[0] / PJ_PER_UJ, h: span[2] / PJ_PER_UJ }; }
  function short(part) { return part.replace(/^cores\.0\./, ""); }

  // For tests and for readers of the console.
  S.prices = {
    setting: setting,
    set: function (values) { Object.assign(setting, values); show(); S.changed(); },
    energy: function (design, workload) {
      const run = data.runs.find(function (each) { return each.design === design && each.workload === workload; });
      return energyOf(run, setting);
    },
    parts: function (design, workload) {
      const run = data.runs.find(function (each) { return each.design === design && each.workload === workload; });
      return byName(run, function (entry) { return entry.part; });
    },
    // What a waterfall is made of while prices are moved: µJ of each design by part; null while they are not.
    pieces: function (workload) {
      return isMoved() ? runsOf(workload).filter(function (run) { return run.priced[setting.table]; }).map(function (run) {
        const parts = byName(run, function (entry) { return short(entry.part); });
        return [run.design, new Map(Array.from(parts, function ([part, span]) { return [part, span[1] / PJ_PER_UJ]; }))];
      }) : null;
    }
  };

  const metric = S.metric;
  S.metric = function (name, workload) {
    if (!isMoved() || !name.startsWith("energy (")) return metric(name, workload);
    return Object.fromEntries(runsOf(workload).map(function (run) {
      const span = energyOf(run, setting);
      return [run.design, span ? span[1] / PJ_PER_UJ : Infinity];
    }));
  };

  function byName(run, name) {
    const groups = new Map();
    (entriesOf(run, setting) || []).forEach(function (entry) {
      const key = name(entry);
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(entry.span);
    });
    return new Map(Array.from(groups, function ([key, spans]) { return [key, total(spans)]; }));
  }

  // Stacked bars of the designs, the largest columns in colours and the rest in grey.
  function stacked(workload, name, plot) {
    const runs = runsOf(workload).filter(function (run) { return run.priced[setting.table]; });
    const rows = runs.map(function (run) { return byName(run, name); });
    const sums = new Map();
    rows.forEach(function (row) {
      row.forEach(function (span, key) { sums.set(key, (sums.get(key) || 0) + span[1]); });
    });
    const keys = Array.from(sums.keys()).sort(function (a, b) { return sums.get(b) - sums.get(a); });
    const value = function (row, key) { return row.has(key) ? row.get(key)[1] / PJ_PER_UJ : 0; };
    const designs = runs.map(function (run) { return S.escaped(run.design); });
    const bars = keys.slice(0, data.palette.length).map(function (key, at) {
      return bar(key, data.palette[at], rows.map(function (row) { return value(row, key); }), designs);
    });
    const rest = keys.slice(data.palette.length);
    if (rest.length) {
      bars.push(bar("all others", "#999999", rows.map(function (row) {
        return rest.reduce(function (sum, key) { return sum + value(row, key); }, 0);
      }), designs));
    }
    const figure = { data: bars, layout: Object.assign({}, plot.figure.layout, { height: 170 + 30 * designs.length }) };
    const table = {
      heading: ["design"].concat(keys.map(function (key) { return key + " (µJ)"; }), ["all (µJ)"]),
      rows: runs.map(function (run, at) {
        return [run.design].concat(keys.map(function (key) { return value(rows[at], key); }),
          [estimate(energyOf(run, setting))]);
      })
    };
    return { figure: figure, table: table };
  }

  function bar(name, colour, values, designs) {
    return {
      type: "bar", orientation: "h", x: values, y: designs, name: S.escaped(name),
      marker: { color: colour, line: { width: 0 } },
      hovertemplate: "%{y}: %{x:,.4~r}<extra>" + S.escaped(name) + "</extra>"
    };
  }

  S.live["energy-by-part"] = function (at, plot) {
    return isMoved() ? stacked(at[0], function (entry) { return short(entry.part); }, plot) : {};
  };
  S.live["energy-by-action"] = function (at, plot) {
    return isMoved() ? stacked(at[0], function (entry) {
      return entry.action === ON ? "at rest" : short(entry.part) + "." + entry.action;
    }, plot) : {};
  };

  S.live.pareto = function (at, plot) {
    if (!isMoved()) return {};
    const figure = JSON.parse(JSON.stringify(plot.figure));
    const table = JSON.parse(JSON.stringify(plot.table));
    const energy = table.heading.findIndex(function (name) { return name.startsWith("energy ("); });
    const edp = table.heading.findIndex(function (name) { return name.startsWith("EDP"); });
    const front = table.heading.indexOf("on the front");
    const points = runsOf(at[0]).map(function (run) {
      const span = energyOf(run, setting);
      return { run: run, x: S.facts.metrics["latency (ms)"][at[0]][run.design], y: span ? span[1] / PJ_PER_UJ : null };
    }).filter(function (point) { return point.y !== null; });
    const beats = function (a, b) { return a.x <= b.x && a.y <= b.y && (a.x < b.x || a.y < b.y); };
    const kept = points.filter(function (point) { return !points.some(function (other) { return beats(other, point); }); })
      .sort(function (a, b) { return a.x - b.x; });
    const of = new Map(points.map(function (point) { return [point.run.design, point]; }));
    figure.data[0].x = kept.map(function (point) { return point.x; });
    figure.data[0].y = kept.map(function (point) { return point.y; });
    table.rows.forEach(function (row, place) {
      const point = of.get(row[0]);
      row[energy] = point ? point.y : null;
      row[edp] = null;
      row[front] = point && kept.includes(point) ? "yes" : "no";
      figure.data[place + 1].y = [point ? point.y : null];
    });
    figure.layout.yaxis = { type: "log", title: figure.layout.yaxis.title };
    return { figure: figure, table: table };
  };

  S.live["against-energy"] = function (at, plot) {
    if (!isMoved()) return {};
    const figure = JSON.parse(JSON.stringify(plot.figure));
    const [design, own] = at[0].split("@");
    const ratios = new Map();
    data.runs.forEach(function (run) {
      const base = data.runs.find(function (each) { return each.design === design && each.workload === (own || run.workload); });
      const spans = base && [base, run].map(function (each) { return energyOf(each, setting); });
      if (spans && spans[0] && spans[1]) ratios.set(run.design + "\n" + run.workload, spans[0][1] / spans[1][1]);
    });
    figure.data = figure.data.filter(function (trace) { return S.facts.workloads.includes(S.unescaped(trace.name)); });
    const ends = [1];
    figure.data.forEach(function (trace) {
      trace.x = trace.y.map(function (name) {
        return ratios.get(S.unescaped(name) + "\n" + S.unescaped(trace.name)) ?? null;
      });
      if (trace.mode === "text") {
        trace.text = trace.x.map(function (value) { return value === null ? "" : "  " + value.toFixed(value < 10 ? 2 : 1) + "×"; });
      }
      delete trace.error_x;
      ends.push(...trace.x.filter(Number.isFinite));
    });
    const [low, high] = [Math.min, Math.max].map(function (end) { return Math.log10(end.apply(null, ends)); });
    const span = Math.max(high - low, 0.1);
    figure.layout.xaxis.range = [low - span / 20, high + span / 6];
    const workloads = Array.from(new Set(figure.data.map(function (trace) { return S.unescaped(trace.name); })));
    const rows = S.facts.designs.map(function (name) {
      return [name].concat(workloads.map(function (workload) { return ratios.get(name + "\n" + workload) ?? null; }));
    });
    const heading = ["design"].concat(workloads.map(function (w) { return w + " (×)"; }));
    return { note: words.ratios.replace("{baseline}", at[0]), figure: figure, table: { heading: heading, rows: rows } };
  };

  S.live.overview = function (at, plot) {
    if (!isMoved()) return {};
    const table = JSON.parse(JSON.stringify(plot.table));
    const stale = /^(leakage|EDP|power of the chip)/;
    table.rows.forEach(function (row) {
      const run = data.runs.find(function (each) { return each.design === row[0] && each.workload === row[1]; });
      table.heading.forEach(function (name, column) {
        if (stale.test(name)) row[column] = null;
        if (name.startsWith("energy (")) {
          const span = run && energyOf(run, setting);
          row[column] = span ? estimate(span) : null;
        }
      });
    });
    return { table: table };
  };

  ["energy-by-stage", "against-edp", "why", "roofline"].forEach(function (name) {
    S.live[name] = function (at, plot) {
      const stays = isMoved() && (name !== "roofline" || at[1] === words.joules);
      return stays ? { note: plot.note + " " + words.stale } : {};
    };
  });

  S.live.ranking = function (at) {
    const runs = runsOf(at[0]).map(function (run) { return { run: run, span: energyOf(run, setting) }; })
      .filter(function (each) { return each.span; });
    const own = runsOf(at[0]).slice().sort(function (a, b) {
      const now = Object.assign({ table: "", cells: "" }, sourced());
      return energyOf(a, now)[1] - energyOf(b, now)[1];
    });
    runs.sort(function (a, b) { return a.span[1] - b.span[1]; });
    const values = function (pick) { return runs.map(function (each) { return pick(each.span) / PJ_PER_UJ; }); };
    const figure = {
      data: [Object.assign(bar("energy", data.palette[0], values(function (s) { return s[1]; }),
        runs.map(function (each) { return S.escaped(each.run.design); })), {
        showlegend: false,
        error_x: {
          type: "data", symmetric: false, width: 4, color: "#999999",
          array: values(function (s) { return s[2] - s[1]; }),
          arrayminus: values(function (s) { return s[1] - s[0]; })
        }
      })],
      layout: { height: 170 + 28 * runs.length, xaxis: { title: { text: words.axis }, rangemode: "tozero" }, yaxis: { autorange: "reversed" } }
    };
    const rows = runs.map(function (each, place) {
      return [each.run.design, place + 1, own.indexOf(each.run) + 1, estimate(each.span)];
    });
    return { ranked: true, figure: figure, table: { heading: ["design", "rank", "rank at sourced prices", "energy (µJ)"], rows: rows } };
  };

  // Energy is linear in each price that a knob sets: two settings give the whole line.
  function turnOver(one, other, name) {
    const at = [0, 1].map(function (value) {
      const here = Object.assign({}, setting, { [name]: value });
      return energyOf(one, here)[1] - energyOf(other, here)[1];
    });
    // Less than the rounding of the energies themselves is no difference.
    const noise = 1e-12 * energyOf(one, setting)[1];
    const value = Math.abs(at[1] - at[0]) <= noise ? -1 : at[0] / (at[0] - at[1]);
    return value > 0 && Number.isFinite(value) ? value : null;
  }

  S.live["break-evens"] = function (at) {
    // Of a workload all pairs of designs; across workloads a design with itself, on the same images.
    const across = at[0] === words.across;
    const runs = (across ? data.runs : runsOf(at[0])).filter(function (run) { return run.priced[setting.table]; });
    const rows = [];
    runs.forEach(function (one, place) {
      runs.slice(0, place).forEach(function (other) {
        if (across && (other.images !== one.images || other.design !== one.design)) return;
        const ratio = energyOf(other, setting)[1] / energyOf(one, setting)[1];
        rows.push([named(other, across), named(one, across), ratio].concat(["always", "dram", "standby", "sram", "pe"].map(function (name) {
          return turnOver(other, one, name);
        })));
      });
    });
    return {
      table: {
        heading: ["design", "other", "energy of the first over the other", "turns at further always-on power (mW)",
          "turns at DRAM price (pJ/bit)", "turns at further DRAM standby (mW)", "turns at SRAM factor (×)", "turns at PE factor (×)"],
        rows: rows
      }
    };
  };

  function named(run, apart) { return apart ? run.design + " on " + run.workload : run.design; }

  const picked = { of: "", over: "", x: "always", y: "dram" };
  S.live["ratio-map"] = function () {
    const several = S.facts.workloads.length > 1;
    const shown = S.designs();
    const runs = data.runs.filter(function (run) { return run.priced[setting.table] && shown.includes(run.design); });
    const offer = function (those) { return those.map(function (run) { return [named(run, several), named(run, several)]; }); };
    const find = function (name) { return runs.find(function (run) { return named(run, several) === name; }); };
    const paired = runs.filter(function (run) {
      return runs.some(function (other) { return other !== run && other.images === run.images; });
    });
    if (!paired.length) return { figure: null, table: { heading: ["design"], rows: [] } };
    // At first the cheapest design over the reader's baseline, on the first workload.
    const own = paired.filter(function (run) { return run.workload === paired[0].workload; });
    const best = own.reduce(function (a, b) { return energyOf(b, setting)[1] < energyOf(a, setting)[1] ? b : a; });
    const knobs = Object.keys(KNOBS).map(function (name) { return [name, words[name]]; });
    S.pick("ratio-map", picked, "of", place.dataset.of, offer(paired), named(best, several));
    const one = find(picked.of);
    const others = paired.filter(function (run) { return run !== one && run.images === one.images; });
    const base = others.find(function (run) { return run.workload === one.workload && run.design === S.baseline(); });
    S.pick("ratio-map", picked, "over", place.dataset.over, offer(others), named(base || others[0], several));
    const other = find(picked.over);
    S.pick("ratio-map", picked, "x", place.dataset.x, knobs, "always");
    S.pick("ratio-map", picked, "y", place.dataset.y, knobs, "dram");
    const axes = ["x", "y"].map(function (axis) { return steps(picked[axis]); });
    const z = axes[1].map(function (y) {
      return axes[0].map(function (x) {
        const here = Object.assign({}, setting, { [picked.x]: x, [picked.y]: y });
        return energyOf(one, here)[1] / energyOf(other, here)[1];
      });
    });
    const flat = z.flat(), far = Math.max.apply(null, flat.map(function (r) { return Math.abs(Math.log10(r)); })) || 0.01;
    const logs = z.map(function (row) { return row.map(Math.log10); });
    const now = function (name, run) { return setting[name] === null ? run.dram_pj_per_bit : setting[name]; };
    const ticks = [-far, -far / 2, 0, far / 2, far];
    const figure = {
      data: [
        {
          type: "heatmap", x: axes[0], y: axes[1], z: logs, customdata: z, zmin: -far, zmax: far,
          colorscale: [[0, "#0072B2"], [0.5, "#f7f7f7"], [1, "#D55E00"]],
          hovertemplate: "%{x:,.3~r}, %{y:,.3~r}: %{customdata:,.3~r}×<extra></extra>",
          colorbar: { thickness: 12, tickvals: ticks, ticktext: ticks.map(function (t) { return S.shown(Math.pow(10, t)) + "×"; }) }
        },
        {
          type: "contour", x: axes[0], y: axes[1], z: logs, showscale: false, hoverinfo: "skip", ncontours: 1,
          contours: { coloring: "none", start: 0, end: 0, size: 1 }, line: { color: "#000000", width: 2 }
        },
        {
          type: "scatter", mode: "markers", x: [now(picked.x, one) || axes[0][0]], y: [now(picked.y, one) || axes[1][0]], showlegend: false,
          marker: { symbol: "x", size: 11, color: "#000000", line: { color: "#ffffff", width: 1 } },
          hovertemplate: "%{x:,.3~r}, %{y:,.3~r}<extra></extra>"
        }
      ],
      layout: { height: 460, showlegend: false, xaxis: axisOf(picked.x), yaxis: axisOf(picked.y) }
    };
    const rows = axes[1].flatMap(function (y, j) { return axes[0].map(function (x, i) { return [x, y, z[j][i]]; }); })
      .filter(function (_, place) { return place % 4 === 0; });
    return { figure: figure, table: { heading: [words[picked.x], words[picked.y], picked.of + " / " + picked.over], rows: rows } };
  };

  function axisOf(name) { return { title: { text: words[name] }, type: "log" }; }
  function steps(name) {
    // A power may be 0, a logarithmic axis cannot: it begins at a thousandth of the largest.
    const knob = KNOBS[name], count = 40, low = knob.low || knob.high / 1000;
    return Array.from({ length: count + 1 }, function (_, i) { return low * Math.pow(knob.high / low, i / count); });
  }

  // Sliders and fields, the address, and the way back.
  const inputs = {};

  function toSlider(name, value) {
    const knob = KNOBS[name];
    if (value === null) value = data.runs[0].dram_pj_per_bit;
    const part = knob.log ? Math.log(Math.max(value, knob.low) / knob.low) / Math.log(knob.high / knob.low) : (value - knob.low) / (knob.high - knob.low);
    return Math.round(1000 * Math.min(Math.max(part, 0), 1));
  }
  function fromSlider(name, slid) {
    const knob = KNOBS[name], part = slid / 1000;
    const value = knob.log ? knob.low * Math.pow(knob.high / knob.low, part) : knob.low + (knob.high - knob.low) * part;
    // Three digits: what the field shows is what is computed.
    return Number(value.toPrecision(3));
  }

  function change(name, value) {
    setting[name] = value;
    show();
    later();
  }
  let waiting = false;
  // At most once a frame, however fast a slider moves.
  function later() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(function () { waiting = false; S.changed(); });
  }

  function show() {
    Object.keys(KNOBS).forEach(function (name) {
      inputs[name].field.value = setting[name] === null ? "" : setting[name];
      inputs[name].slider.value = toSlider(name, setting[name]);
    });
    Object.keys(CHOICES).forEach(function (name) { inputs[name].value = setting[name]; });
    const parts = Object.keys(setting).filter(function (name) {
      return name in KNOBS ? setting[name] !== KNOBS[name].sourced : setting[name];
    }).map(function (name) { return name + "=" + encodeURIComponent(setting[name]); });
    const hash = parts.length ? "#" + parts.join("&") : "#";
    if (location.hash !== hash && (location.hash || hash !== "#")) history.replaceState(null, "", hash);
    const lacking = data.runs.filter(function (run) { return !run.priced[setting.table]; })
      .map(function (run) { return run.design; });
    place.querySelector(".state").textContent = (isMoved() ? words.changed : "") +
      (lacking.length ? " " + words.absent + Array.from(new Set(lacking)).join(", ") : "");
    place.querySelector(".reset").disabled = !isMoved();
    document.querySelectorAll(".stale").forEach(function (each) { each.hidden = !isMoved(); });
  }

  function read() {
    const found = Object.assign({ table: "", cells: "" }, sourced());
    new URLSearchParams(location.hash.slice(1)).forEach(function (value, name) {
      if (name in KNOBS && value !== "" && Number.isFinite(Number(value)) && Number(value) >= 0) found[name] = Number(value);
      if (name in CHOICES && CHOICES[name].values.includes(value)) found[name] = value;
    });
    Object.assign(setting, found);
  }

  const box = place.querySelector(".sliders");
  Object.entries(KNOBS).forEach(function ([name, knob]) {
    const id = "price-" + name;
    const slider = S.element("input", { type: "range", min: 0, max: 1000, "aria-label": words[name], "data-knob": name });
    const field = S.element("input", { type: "number", id: id, min: 0, step: "any", placeholder: knob.sourced === null ? words.own : "" });
    slider.addEventListener("input", function () { change(name, fromSlider(name, Number(slider.value))); });
    field.addEventListener("change", function () {
      const value = field.value === "" ? knob.sourced : Number(field.value);
      change(name, value !== null && (!Number.isFinite(value) || value < 0) ? knob.sourced : value);
    });
    inputs[name] = { slider: slider, field: field };
    box.append(S.element("div", { class: "knob" }, S.element("label", { for: id }, words[name]), S.element("code", {}, knob.option), slider, field));
  });
  Object.entries(CHOICES).forEach(function ([name, choice]) {
    const id = "price-" + name;
    const select = S.element("select", { id: id });
    select.add(new Option(words.own, ""));
    choice.values.forEach(function (value) { select.add(new Option(value, value)); });
    select.addEventListener("change", function () { change(name, select.value); });
    inputs[name] = select;
    box.append(S.element("div", { class: "knob" }, S.element("label", { for: id }, words[name]), S.element("code", {}, choice.option), select));
  });
  place.querySelector(".reset").addEventListener("click", function () {
    Object.assign(setting, { table: "", cells: "" }, sourced());
    show();
    S.changed();
  });
  window.addEventListener("hashchange", function () { read(); show(); S.changed(); });
  read();
  place.hidden = false;
  show();
})(window.STASim);
