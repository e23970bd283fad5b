// For every page: open folds where they are needed, show menus, copy the links of headings, and show
// figures large.

(() => {
  // Folds ---------------------------------------------------------------------------------------

  const folds = (element) => {
    const found = [];
    for (let at = element; (at = at.parentElement?.closest("details")); ) found.push(at);
    return found;
  };

  // A link that leads into a fold opens it.
  const openTarget = () => {
    if (!location.hash) return;
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const closed = target ? [target, ...folds(target)].filter((e) => e.matches("details:not([open])")) : [];
    closed.forEach((fold) => (fold.open = true));
    if (closed.length) target.scrollIntoView();
  };
  window.addEventListener("hashchange", openTarget);
  openTarget();

  // A search opens folds if its words are found in folds only.
  const hits = [...document.querySelectorAll("article .highlighted")];
  if (hits.every((hit) => folds(hit).length)) hits.flatMap(folds).forEach((fold) => (fold.open = true));

  // For printing, open all folds and take the light theme; afterwards undo both.
  const page = document.documentElement.dataset;
  let screen = null;
  const onPaper = (printed) => {
    if (printed === Boolean(screen)) return;
    if (printed) screen = { theme: page.theme, folds: [...document.querySelectorAll("details:not([open])")] };
    screen.folds.forEach((fold) => (fold.open = printed));
    page.theme = printed ? "light" : screen.theme;
    if (!printed) screen = null;
  };
  window.addEventListener("beforeprint", () => onPaper(true));
  window.addEventListener("afterprint", () => onPaper(false));
  matchMedia("print").addEventListener("change", ({ matches }) => onPaper(matches));

  // Menus ---------------------------------------------------------------------------------------

  const closeMenus = (but) => {
    for (const button of document.querySelectorAll("[data-bs-toggle=dropdown]")) {
      const shown = button === but && button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", shown);
      button.nextElementSibling.classList.toggle("show", shown);
      button.nextElementSibling.dataset.bsPopper = "static"; // the theme's style places it
    }
  };
  closeMenus();
  document.addEventListener("click", (event) => closeMenus(event.target.closest("[data-bs-toggle=dropdown]")));
  document.addEventListener("keydown", (event) => {
    const shown = document.querySelector("[data-bs-toggle=dropdown][aria-expanded=true]");
    if (event.key !== "Escape" || !shown) return;
    closeMenus();
    shown.focus();
  });

  // A heading's link copies its address -----------------------------------------------------------

  const said = document.createElement("div");
  said.className = "said";
  said.role = "status";
  document.querySelector("main").append(said);
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a.headerlink");
    if (!link || !navigator.clipboard) return;
    await navigator.clipboard.writeText(link.href);
    said.textContent = phrase("Link copied");
    setTimeout(() => (said.textContent = ""), 2000);
  });

  // Figures ---------------------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.enlarge");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const dialog = document.createElement("dialog");
    dialog.className = "enlarged";
    dialog.ariaLabel = phrase("The figure, large");
    const close = document.createElement("button");
    close.textContent = phrase("Close");
    close.className = "btn";
    const image = link.querySelector("img").cloneNode();
    dialog.append(close, image);
    dialog.addEventListener("click", ({ target }) => target !== image && dialog.close());
    dialog.addEventListener("close", () => (dialog.remove(), link.focus()));
    document.body.append(dialog);
    dialog.showModal();
  });
})();
