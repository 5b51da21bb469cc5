// Draws the cards of a page: each has its plots as JSON beside it, by what the reader chose.
(function (S) {
  "use strict";

  const cards = Array.from(document.querySelectorAll("section.card")).map(function (element) {
    return {
      element: element, name: element.dataset.name, facts: null, drawn: false, visible: false,
      plot: element.querySelector(".plot"), numbers: element.querySelector(".numbers")
    };
  });

  function load(card) {
    if (card.facts) return;
    card.facts = JSON.parse(card.element.querySelector("script").textContent);
    card.facts.plots.forEach(fill);
    card.facts.choices.forEach(function (choice, place) { addPick(card, choice, place); });
    addButtons(card);
    if ("open" in card.element.dataset) card.numbers.hidden = false;
  }

  // Series that the page holds once, as a column of the table.
  function fill(plot) {
    (plot.figure ? plot.figure.data : []).forEach(function (trace) {
      Object.entries(trace).forEach(function ([key, value]) {
        if (value === null || typeof value.column !== "number") return;
        trace[key] = plot.table.rows.map(function (row) { return row[value.column]; });
      });
    });
  }

  function addPick(card, choice, place) {
    const select = S.element("select", { "data-choice": choice });
    card.facts.plots.forEach(function (plot) {
      const value = plot.at[place];
      if (!Array.from(select.options).some(function (o) { return o.value === value; })) {
        select.add(new Option(value, value));
      }
    });
    select.addEventListener("change", function () {
      S.chosen[choice] = select.value;
      S.changed();
    });
    card.element.querySelector(".picks").append(S.element("label", {}, choice, select));
  }

  function addButtons(card) {
    const place = card.element.querySelector(".buttons");
    const title = card.element.querySelector("h2").textContent;
    function button(text, kind, act) {
      const made = S.element("button", {
        type: "button", class: kind, "aria-label": text + ": " + title,
        onclick: function () { act(made); }
      }, text);
      place.append(made);
      return made;
    }
    const table = button("Table", "to-table", function (made) {
      card.numbers.hidden = !card.numbers.hidden;
      made.setAttribute("aria-expanded", String(!card.numbers.hidden));
      draw(card);
    });
    table.setAttribute("aria-expanded", String("open" in card.element.dataset));
    button("CSV", "to-csv", function () {
      const plot = current(card);
      S.download([card.name].concat(plot.at).join("-") + ".csv", S.csvOf(S.arrangedTable(plot.table)));
    });
    button("Definition", "to-definition", function (made) { define(card.element.dataset.definition, made); });
  }

  // The plot of what is chosen; where a choice is unknown to the card, its first one.
  function current(card) {
    load(card);
    let fitting = card.facts.plots;
    card.facts.choices.forEach(function (choice, place) {
      const kept = fitting.filter(function (plot) { return plot.at[place] === S.chosen[choice]; });
      if (kept.length) fitting = kept;
    });
    const live = S.live && S.live[card.name];
    return live ? Object.assign({}, fitting[0], live(fitting[0].at, fitting[0])) : fitting[0];
  }

  function draw(card) {
    const plot = current(card);
    card.element.querySelectorAll(".picks select[data-choice]").forEach(function (select, place) {
      select.value = plot.at[place];
    });
    card.element.querySelector(".note").textContent = plot.note;
    drawTable(card, plot);
    card.drawn = true;
    card.element.classList.remove("pending");
    card.element.querySelector(".drawing").innerHTML = plot.drawing || "";
    card.element.querySelector(".both").classList.toggle("drawn", Boolean(plot.drawing));
    card.element.querySelector(".both").hidden = !plot.figure;
    if (!plot.figure) return;
    // A copy: plotly writes into what it is given.
    const figure = S.arrangedFigure(JSON.parse(JSON.stringify(plot.figure)), plot.ranked);
    S.plotly().react(card.plot, figure.data, dressed(card.plot, figure), {
      responsive: true, displayModeBar: false, displaylogo: false
    });
  }

  function drawTable(card, plot) {
    const buttons = card.element.querySelector(".buttons");
    if (card.numbers.hidden) {
      buttons.querySelector(".columns")?.remove();
      return;
    }
    const table = S.arrangedTable(plot.table, plot.ranked);
    card.numbers.replaceChildren(S.tableOf(table, card.name));
    const chooser = buttons.querySelector(".columns");
    if (!chooser || chooser.dataset.columns !== table.heading.join("\n")) {
      chooser?.remove();
      const made = S.columnChooser(table, card.name, function () { draw(card); });
      made.dataset.columns = table.heading.join("\n");
      buttons.append(made);
    }
  }

  // The layout of a figure in the colours of the page.
  function dressed(place, figure) {
    const layout = figure.layout;
    const line = S.colour("--line");
    const entries = figure.data.filter(function (trace) { return trace.showlegend !== false; });
    const narrow = place.clientWidth < 560;
    // A legend of many rows is above the plot: it gets room of its own.
    if (entries.length > 1 && layout.showlegend !== false) {
      const longest = Math.max.apply(null, figure.data.map(function (t) { return (t.name || "").length; }));
      const perRow = Math.max(1, Math.floor((place.clientWidth - 90) / (6.5 * longest + 50)));
      layout.height = (layout.height || 450) + 19 * Math.max(0, Math.ceil(entries.length / perRow) - 1);
    }
    ["xaxis", "yaxis"].concat(Object.keys(layout)).forEach(function (key) {
      if (!/^[xy]axis\d*$/.test(key)) return;
      layout[key] = Object.assign({
        automargin: true, fixedrange: true, gridcolor: line, linecolor: line, zerolinecolor: line,
        // The title states the unit: no further prefix at the numbers.
        exponentformat: "none", separatethousands: true
      }, layout[key]);
    });
    return Object.assign({
      autosize: true,
      margin: { l: 10, r: 24, t: 30, b: 10 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: narrow ? 11 : 12, color: S.colour("--ink") },
      hoverlabel: { namelength: -1 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, traceorder: "normal" }
    }, layout);
  }

  function define(heading, opener) {
    const dialog = document.getElementById("definition");
    const found = Array.from(document.querySelectorAll("template")).find(function (template) {
      return template.dataset.heading === heading;
    });
    dialog.querySelector(".text").replaceChildren(found.content.cloneNode(true));
    dialog.addEventListener("close", function () { opener.focus(); }, { once: true });
    dialog.showModal();
  }

  document.getElementById("definition").addEventListener("click", function (event) {
    if (event.target === this) this.close();
  });

  // A card is gone to without the address, which holds the prices.
  document.querySelectorAll(".contents a").forEach(function (link) {
    link.addEventListener("click", function (event) {
      event.preventDefault();
      const card = document.querySelector(link.getAttribute("href"));
      card.focus({ preventScroll: true });
      card.scrollIntoView();
    });
  });

  S.onChange(function () {
    cards.forEach(function (card) {
      card.drawn = false;
      if (card.visible) draw(card);
    });
  });

  const watcher = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      const card = cards.find(function (each) { return each.element === entry.target; });
      card.visible = entry.isIntersecting;
      if (card.visible && !card.drawn) draw(card);
    });
  }, { rootMargin: "400px" });
  // First what needs no plot appears; plots follow when they come into view.
  requestAnimationFrame(function () {
    setTimeout(function () {
      cards.forEach(function (card) {
        if ("open" in card.element.dataset) draw(card);
        watcher.observe(card.element);
      });
      // Before a reader comes to the first plot.
      (window.requestIdleCallback || setTimeout)(S.plotly);
    });
  });
  window.addEventListener("beforeprint", function () { cards.forEach(draw); });
})(window.STASim);
