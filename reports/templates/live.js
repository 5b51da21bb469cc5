// The page of a running search loads itself again, and shows then what its reader had chosen.
(function (S) {
  "use strict";

  const root = document.documentElement;
  const cards = Array.from(document.querySelectorAll("section.card"));
  const place = document.getElementById("live");
  const kept = (history.state || {}).live;
  let held = false;

  if (kept) {
    Object.assign(S.chosen, kept.chosen);
    if (kept.theme) root.dataset.theme = kept.theme;
    cards.forEach(function (card) { if (kept.open.includes(card.id)) card.dataset.open = ""; });
    // Cards grow as they are drawn: the place is there after a while.
    const end = Date.now() + 2000;
    const scroll = function () {
      window.scrollTo(0, kept.y);
      if (Math.abs(window.scrollY - kept.y) > 2 && Date.now() < end) requestAnimationFrame(scroll);
    };
    history.scrollRestoration = "manual";
    scroll();
  }
  if (!place) return;

  const button = place.querySelector("button");
  button.hidden = false;
  button.addEventListener("click", function () {
    held = !held;
    button.setAttribute("aria-pressed", String(held));
  });
  place.querySelector(".when").textContent = new Date().toLocaleTimeString();
  setInterval(function () {
    const busy = document.querySelector("dialog[open], select:focus, .numbers:hover");
    if (held || busy) return;
    const open = cards.filter(function (card) { return !card.querySelector(".numbers").hidden; });
    history.replaceState({ live: {
      chosen: S.chosen, theme: root.dataset.theme, y: window.scrollY, open: open.map(function (card) { return card.id; })
    } }, "");
    location.reload();
  }, 1000 * Number(place.dataset.seconds));
})(window.STASim);
