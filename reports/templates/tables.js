// Tables: numbers with their intervals, columns that can be hidden, cells that differ marked.
(function (S) {
  "use strict";

  const hidden = {}; // by card: headings that the reader took away

  function isEstimate(value) { return value !== null && typeof value === "object"; }

  function text(value) {
    if (!isEstimate(value)) return S.shown(value);
    if (value.l === null && value.h === null) return S.shown(value.v);
    const bound = function (each) { return each === null ? "…" : S.shown(each); };
    const shown = [value.v, value.l, value.h].map(bound);
    // Images that do not differ have no interval to read.
    return new Set(shown).size === 1 ? shown[0] : shown[0] + " [" + shown[1] + ", " + shown[2] + "]";
  }

  // Of each column the value that most rows have, where at least two have it.
  function usual(table) {
    return table.heading.map(function (_, column) {
      const count = new Map();
      table.rows.forEach(function (row) {
        const key = JSON.stringify(row[column]);
        count.set(key, (count.get(key) || 0) + 1);
      });
      const [key, most] = Array.from(count).sort(function (a, b) { return b[1] - a[1]; })[0] || [];
      return count.size > 1 ? (most > 1 ? key : undefined) : null;
    });
  }

  // In the table of fields a row is a field: there the row's own values are compared.
  function usualOfRow(row) {
    return usual({ heading: [""], rows: row.slice(1).map(function (value) { return [value]; }) })[0];
  }

  // A button that copies a cell, and says so.
  function copier(copied, row) {
    const made = S.element("button", { type: "button", class: "copy", "aria-label": "Copy the YAML of point " + row }, "Copy");
    made.addEventListener("click", function () {
      navigator.clipboard.writeText(copied).then(
        function () { made.textContent = "Copied"; },
        function () { getSelection().selectAllChildren(made.parentNode); made.textContent = "Selected"; });
    });
    return made;
  }

  S.tableOf = function (table, name) {
    // A wide table is printed row by row: each cell needs its heading there.
    const sheet = table.heading[0] === "field";
    const made = S.element("table", { class: (table.heading.length > 8 ? "wide " : "") + (sheet ? "sheet" : "") });
    const away = hidden[name] || new Set();
    const kept = table.heading.map(function (_, column) { return column; })
      .filter(function (column) { return column === 0 || !away.has(table.heading[column]); });
    const words = table.heading.map(function (_, column) {
      return table.rows.some(function (row) { return typeof row[column] === "string"; });
    });
    const byRow = table.heading[0] === "field";
    const common = table.marked && !byRow ? usual(table) : [];
    function fill(section, values, row, heading) {
      const line = section.insertRow();
      kept.forEach(function (column, place) {
        const scope = heading ? "col" : place === 0 ? "row" : null;
        const cell = S.element(scope ? "th" : "td", { scope: scope }, String(text(values[column])));
        if (!heading && made.className) cell.dataset.label = table.heading[column];
        if (words[column]) cell.classList.add("word");
        const key = JSON.stringify(values[column]);
        const norm = byRow ? row : common[column];
        if (table.marked && !heading && column > 0 && norm !== null && key !== norm) {
          cell.classList.add("differs");
        }
        if (!heading && table.heading[column] === "as YAML") cell.append(copier(values[column], values[0]));
        line.append(cell);
      });
    }
    fill(made.createTHead(), table.heading, null, true);
    const body = made.createTBody();
    table.rows.forEach(function (row) { fill(body, row, byRow ? usualOfRow(row) : null, false); });
    return made;
  };

  // A list of the columns, each with a box that hides it.
  S.columnChooser = function (table, name, redraw) {
    const away = hidden[name] = hidden[name] || new Set();
    const list = S.element("div", { class: "column-list" });
    table.heading.slice(1).forEach(function (heading) {
      const box = S.element("input", { type: "checkbox", checked: !away.has(heading) });
      box.addEventListener("change", function () {
        if (box.checked) away.delete(heading);
        else away.add(heading);
        redraw();
      });
      list.append(S.element("label", {}, box, heading));
    });
    return S.element("details", { class: "columns" }, S.element("summary", {}, "Columns"), list);
  };

  // Lines of CSV; an interval is two columns more.
  S.csvOf = function (table) {
    const wide = table.heading.map(function (_, column) {
      return table.rows.some(function (row) { return isEstimate(row[column]); });
    });
    function quoted(value) {
      const plain = value === null || value === undefined ? "" : String(value);
      // A cell that begins so would be read as a formula.
      const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(plain) ? "'" + plain : plain;
      return /[",\n\r]/.test(safe) ? '"' + safe.replace(/"/g, '""') + '"' : safe;
    }
    const heading = table.heading.flatMap(function (name, column) {
      return wide[column] ? [name, name + " low", name + " high"] : [name];
    });
    const rows = table.rows.map(function (row) {
      return row.flatMap(function (value, column) {
        if (!wide[column]) return [value];
        return isEstimate(value) ? [value.v, value.l, value.h] : [value, null, null];
      });
    });
    return [heading].concat(rows).map(function (row) { return row.map(quoted).join(","); });
  };

  // Whether there is more at the right, for the shadow there; and a way there by keyboard.
  S.watchScroll = function (place) {
    function look() {
      const more = place.scrollWidth - place.clientWidth - place.scrollLeft > 2;
      place.classList.toggle("more", more);
      const scrolls = place.scrollWidth > place.clientWidth || place.scrollHeight > place.clientHeight;
      if (scrolls) place.tabIndex = 0;
      else place.removeAttribute("tabindex");
    }
    place.addEventListener("scroll", look, { passive: true });
    new ResizeObserver(look).observe(place);
    new MutationObserver(look).observe(place, { childList: true, subtree: true });
    look();
  };
  document.querySelectorAll(".scroll").forEach(S.watchScroll);
})(window.STASim);
