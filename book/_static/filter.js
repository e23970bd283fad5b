// Shows those rows that have some words, of the tables in the sections beside "filter-rows".

(() => {
  const place = document.querySelector(".filter-rows");
  const rows = [...place.parentElement.querySelectorAll("section tbody tr")];
  const texts = rows.map((row) => {
    const section = row.closest("section").querySelector("h2, h3, h4");
    return `${section.textContent} ${row.textContent}`.toLowerCase();
  });

  const label = document.createElement("label");
  label.textContent = `${phrase("Show the rows with")} `;
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = phrase("words, such as: transformers dead");
  const count = document.createElement("output");
  label.append(field);
  place.append(label, count);

  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, k) => {
      row.hidden = !words.every((word) => texts[k].includes(word));
      shown += !row.hidden;
    });
    for (const section of place.parentElement.querySelectorAll("section"))
      section.hidden = words.length && !section.querySelector("tbody tr:not([hidden])");
    const all = rows.length;
    count.textContent = words.length ? phrase("{shown} of {all} rows", { shown, all }) : phrase("{all} rows", { all });
  };
  field.addEventListener("input", show);
  show();
})();
