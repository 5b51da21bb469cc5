// A table that is wider than its place says so with a shade, and its reader chooses columns.
document.addEventListener("DOMContentLoaded", function () {
  "use strict";
  document.querySelectorAll(".md-typeset table:not([class])").forEach(function (table) {
    const place = table.closest(".md-typeset__scrollwrap");
    if (!place) return;
    function look() {
      const wide = place.scrollWidth > place.clientWidth + 1;
      place.classList.toggle("more", place.scrollWidth - place.clientWidth - place.scrollLeft > 2);
      if (wide) place.tabIndex = 0;
      else place.removeAttribute("tabindex");
      if (wide && !place.chooser) place.before(place.chooser = chooserOf(table));
    }
    place.setAttribute("role", "region");
    place.setAttribute("aria-label", "Table: " + table.rows[0].textContent.trim().replace(/\s+/g, " "));
    place.addEventListener("scroll", look, { passive: true });
    new ResizeObserver(look).observe(table);
    new ResizeObserver(look).observe(place);
  });

  function chooserOf(table) {
    const made = document.createElement("details");
    made.className = "columns";
    made.innerHTML = "<summary>Columns</summary>";
    Array.from(table.rows[0].cells).slice(1).forEach(function (cell, place) {
      const label = document.createElement("label"), box = document.createElement("input");
      Object.assign(box, { type: "checkbox", checked: true });
      box.addEventListener("change", function () {
        Array.from(table.rows).forEach(function (row) { row.cells[place + 1].hidden = !box.checked; });
      });
      label.append(box, " " + cell.textContent);
      made.append(label);
    });
    return made;
  }
});
