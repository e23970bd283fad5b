// This script shows the lab and loads the modules in lab/. If that fails, it says why. It is no module
// itself, because browsers load no modules for a page on disk (file://).

(() => {
  const { search } = new URL(document.currentScript.src); // the version of the site
  const modules = new URL("lab/", document.currentScript.src);
  const lab = document.querySelector(".lab");
  const part = (name) => lab.querySelector(`.lab-${name}`);

  // A sentence on what failed, and on the picture that is there instead.
  const explain = (error) => {
    const why =
      location.protocol === "file:"
        ? phrase("A browser does not let a page on disk load it: make serve shows it.")
        : !("WebAssembly" in window && "DecompressionStream" in window)
          ? phrase("This browser lacks what it runs on (WebAssembly, DecompressionStream).")
          : phrase("What it runs on did not load ({reason}).", { reason: error.message.split(/[.:]\s|\n/)[0] });
    const instead = phrase("The picture below shows the four classic starts.");
    return phrase("{before} {after}", { before: why, after: instead });
  };

  // Browsers cache a failed import for as long as the page is open, so the page is loaded again.
  const again = (event) => {
    event.preventDefault();
    if (location.protocol !== "file:") location.reload();
  };
  const fail = (error) => {
    part("says").textContent = explain(error);
    part("plots").hidden = true;
    part("missed").hidden = false;
    part("train").textContent = phrase("Try again");
    lab.querySelector("form").addEventListener("submit", again);
    part("step").addEventListener("click", again);
  };

  for (const element of document.querySelectorAll(".lab-without")) element.hidden = true;
  lab.hidden = false;
  lab.inert = true; // until the buttons work
  import(new URL(`app.js${search}`, modules))
    .then(({ open }) => open(lab, explain), fail)
    .finally(() => (lab.inert = false));
})();
