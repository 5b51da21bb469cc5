// What the modules of a page share: what the reader chose, and who draws again when that changes.
window.STASim = (function () {
  "use strict";

  const root = document.documentElement;
  const facts = JSON.parse(document.getElementById("page-data").textContent);
  const listeners = [];
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  // Made once: a format costs more than its use.
  const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const FOUR = new Intl.NumberFormat("en-US", { minimumSignificantDigits: 4, maximumSignificantDigits: 4 });

  // What a module offers the others is added to this.
  const S = {
    facts: facts,
    chosen: {}, // by the name of a choice; the same for all cards that offer it
    onChange: function (listener) { listeners.push(listener); },
    changed: function () { listeners.forEach(function (listener) { listener(); }); },
    colour: function (name) { return getComputedStyle(root).getPropertyValue(name).trim(); },
    element: function (name, attributes, ...children) {
      const made = document.createElement(name);
      Object.entries(attributes || {}).forEach(function ([key, value]) {
        if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
        else if (value === true) made.setAttribute(key, "");
        else if (value !== false && value !== null) made.setAttribute(key, value);
      });
      made.append(...children);
      return made;
    },
    // Plotly's texts take HTML: a name as reports.figures.base.escaped gives it, and back.
    escaped: function (name) {
      return S.element("i", {}, name).innerHTML.replace(/"/g, "&quot;").replace(/'/g, "&#x27;");
    },
    unescaped: function (shown) {
      const made = S.element("i");
      made.innerHTML = shown;
      return made.textContent;
    },
    // A choice of a card's own, above its note. What is no longer offered gives way to the preset.
    pick: function (card, picked, key, label, offered, preset) {
      const place = document.getElementById("card-" + card);
      let line = place.querySelector(".own-picks");
      if (!line) {
        line = S.element("div", { class: "picks own-picks" });
        place.querySelector(".note").before(line);
      }
      let select = line.querySelector("[data-pick=" + key + "]");
      if (!select) {
        select = S.element("select", { "data-pick": key });
        select.addEventListener("change", function () { picked[key] = select.value; S.changed(); });
        line.append(S.element("label", {}, label, select));
      }
      const values = offered.map(function (each) { return each[0]; });
      if (!values.includes(picked[key])) picked[key] = preset;
      if (Array.from(select.options, function (o) { return o.value; }).join("\n") !== values.join("\n")) {
        select.replaceChildren(...offered.map(function ([value, shown]) { return new Option(shown, value); }));
      }
      select.value = picked[key];
    },
    // Whole numbers whole, others with four significant digits, as simulator.results.units does.
    shown: function (value) {
      if (value === null || value === undefined) return "–";
      if (typeof value !== "number") return value;
      if (Number.isInteger(value)) return WHOLE.format(value);
      if (Math.abs(value) < 1e-4) return value.toExponential(3);
      return (Math.abs(value) >= 1000 ? WHOLE : FOUR).format(value);
    },
    // Plotly is large: it is read when the first plot is drawn, after the page has appeared.
    plotly: function () {
      if (!window.Plotly) {
        const script = document.createElement("script");
        script.textContent = document.getElementById("plotly").textContent;
        document.head.append(script);
      }
      return window.Plotly;
    },
    download: function (name, lines) {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
      link.download = name.replace(/[^\w.-]+/g, "_");
      link.click();
      URL.revokeObjectURL(link.href);
    }
  };

  system.addEventListener("change", S.changed);
  document.getElementById("theme").addEventListener("click", function () {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
    root.dataset.theme = dark ? "light" : "dark";
    S.changed();
  });
  return S;
})();
