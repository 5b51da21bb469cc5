// Draws the cards of a page: each has its plots as JSON beside it, by what the reader chose.
(function () {
  "use strict";

  var chosen = {}; // by the name of a choice; the same for all cards that offer it
  var root = document.documentElement;
  var cards = Array.from(document.querySelectorAll("section.card")).map(read);

  function read(element) {
    return {
      element: element, name: element.dataset.name, told: null, drawn: false, visible: false,
      plot: element.querySelector(".plot"), numbers: element.querySelector(".numbers")
    };
  }

  function load(card) {
    if (card.told) return;
    card.told = JSON.parse(card.element.querySelector("script").textContent);
    card.told.choices.forEach(function (choice, place) { addPick(card, choice, place); });
    addButtons(card);
    if ("open" in card.element.dataset) card.numbers.hidden = false;
  }

  function addPick(card, choice, place) {
    var label = document.createElement("label");
    var select = document.createElement("select");
    select.dataset.choice = choice;
    card.told.plots.forEach(function (plot) {
      var value = plot.at[place];
      if (!Array.from(select.options).some(function (o) { return o.value === value; })) {
        select.add(new Option(value, value));
      }
    });
    select.addEventListener("change", function () {
      chosen[choice] = select.value;
      cards.forEach(function (other) {
        if (other.told && other.told.choices.indexOf(choice) >= 0) {
          other.drawn = false;
          if (other.visible) draw(other);
        }
      });
    });
    label.append(choice, select);
    card.element.querySelector(".picks").append(label);
  }

  function addButtons(card) {
    var place = card.element.querySelector(".buttons");
    function button(text, kind, act) {
      var made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      made.className = kind;
      made.addEventListener("click", function () { act(made); });
      place.append(made);
      return made;
    }
    var table = button("Table", "to-table", function (made) {
      card.numbers.hidden = !card.numbers.hidden;
      made.setAttribute("aria-expanded", String(!card.numbers.hidden));
      draw(card);
    });
    table.setAttribute("aria-expanded", String("open" in card.element.dataset));
    button("CSV", "to-csv", function () { download(card); });
    button("Definition", "to-definition", function () { define(card.element.dataset.definition); });
  }

  // The plot of what is chosen; where a choice is unknown to the card, its first one.
  function current(card) {
    var fitting = card.told.plots;
    card.told.choices.forEach(function (choice, place) {
      var kept = fitting.filter(function (plot) { return plot.at[place] === chosen[choice]; });
      if (kept.length) fitting = kept;
    });
    return fitting[0];
  }

  function draw(card) {
    load(card);
    var plot = current(card);
    card.element.querySelectorAll("select").forEach(function (select, place) {
      select.value = plot.at[place];
    });
    card.element.querySelector(".note").textContent = plot.note;
    if (!card.numbers.hidden) card.numbers.replaceChildren(tableOf(plot.table));
    card.drawn = true;
    card.element.querySelector(".drawing").innerHTML = plot.drawing || "";
    card.element.querySelector(".both").classList.toggle("drawn", Boolean(plot.drawing));
    card.element.querySelector(".both").hidden = !plot.figure;
    if (!plot.figure) return;
    // A copy: plotly writes into what it is given.
    var figure = JSON.parse(JSON.stringify(plot.figure));
    Plotly.react(card.plot, figure.data, dressed(card.plot, figure), {
      responsive: true, displayModeBar: false, displaylogo: false
    });
  }

  function colour(name) { return getComputedStyle(root).getPropertyValue(name).trim(); }

  // The layout of a figure in the colours of the page.
  function dressed(place, figure) {
    var layout = figure.layout;
    var line = colour("--line");
    var entries = figure.data.filter(function (trace) { return trace.showlegend !== false; }).length;
    var narrow = place.clientWidth < 560;
    // A legend of many rows stands above the plot: it gets room of its own.
    if (entries > 1 && layout.showlegend !== false) {
      var longest = Math.max.apply(null, figure.data.map(function (t) { return (t.name || "").length; }));
      var perRow = Math.max(1, Math.floor((place.clientWidth - 90) / (6.5 * longest + 50)));
      layout.height = (layout.height || 450) + 19 * Math.max(0, Math.ceil(entries / perRow) - 1);
    }
    ["xaxis", "yaxis"].concat(Object.keys(layout)).forEach(function (key) {
      if (!/^[xy]axis\d*$/.test(key)) return;
      layout[key] = Object.assign({
        automargin: true, fixedrange: true, gridcolor: line, linecolor: line, zerolinecolor: line
      }, layout[key]);
    });
    return Object.assign({
      autosize: true,
      margin: { l: 10, r: 24, t: 30, b: 10 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: narrow ? 11 : 12, color: colour("--ink") },
      hoverlabel: { namelength: -1 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, traceorder: "normal" }
    }, layout);
  }

  function tableOf(told) {
    var table = document.createElement("table");
    var words = told.heading.map(function (_, column) {
      return told.rows.some(function (row) { return typeof row[column] === "string"; });
    });
    function add(kind, section, values) {
      var row = section.insertRow();
      values.forEach(function (value, column) {
        var cell = document.createElement(kind);
        cell.textContent = value;
        if (words[column]) cell.className = "word";
        row.append(cell);
      });
    }
    add("th", table.createTHead(), told.heading);
    var body = table.createTBody();
    told.rows.forEach(function (row) { add("td", body, row.map(shown)); });
    return table;
  }

  // Whole numbers whole, others with four significant digits.
  function shown(value) {
    if (value === null) return "–";
    if (typeof value !== "number") return value;
    if (Number.isInteger(value)) return value.toLocaleString("en-US");
    if (Math.abs(value) < 1e-4) return value.toExponential(3);
    return value.toLocaleString("en-US", value >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 });
  }

  function download(card) {
    load(card);
    var plot = current(card);
    function quoted(value) {
      var text = value === null ? "" : String(value);
      return /[",\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
    }
    var lines = [plot.table.heading].concat(plot.table.rows).map(function (row) {
      return row.map(quoted).join(",");
    });
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    link.download = [card.name].concat(plot.at).join("-").replace(/[^\w.-]+/g, "_") + ".csv";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  function define(heading) {
    var dialog = document.getElementById("definition");
    var found = Array.from(document.querySelectorAll("template")).find(function (template) {
      return template.dataset.heading === heading;
    });
    dialog.querySelector(".text").replaceChildren(found.content.cloneNode(true));
    dialog.showModal();
  }

  document.getElementById("definition").addEventListener("click", function (event) {
    if (event.target === this) this.close();
  });

  var system = window.matchMedia("(prefers-color-scheme: dark)");
  function repaint() {
    cards.forEach(function (card) {
      card.drawn = false;
      if (card.visible) draw(card);
    });
  }
  system.addEventListener("change", repaint);
  document.getElementById("theme").addEventListener("click", function () {
    var dark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
    root.dataset.theme = dark ? "light" : "dark";
    repaint();
  });

  var watcher = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      var card = cards.find(function (each) { return each.element === entry.target; });
      card.visible = entry.isIntersecting;
      if (card.visible && !card.drawn) draw(card);
    });
  }, { rootMargin: "400px" });
  cards.forEach(function (card) { watcher.observe(card.element); });
  window.addEventListener("beforeprint", function () { cards.forEach(draw); });
})();
