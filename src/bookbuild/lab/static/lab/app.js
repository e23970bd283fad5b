// The lab's part in the page: it reads the controls, runs the training, and draws the result.
// It loads the engine when Train or Step is pressed for the first time, or a link names a state.

import { Canvases } from "./canvases.js";
import { Charts } from "./charts.js";
import { Run, distinct, gap, trainable } from "./run.js";
import { descriptions, layerName, sentence, short, together } from "./sentence.js";
import { choose, link, read } from "./settings.js";

// The address of a file beside this one, in the version of the site.
const url = (name) => new URL(name + new URL(import.meta.url).search, import.meta.url);

const SLICE = 12; // milliseconds of training, after which the browser handles the reader's input
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

// The controls of the form, as settings.js takes them.
const controlsOf = (form) => {
  const controls = { menus: {}, numbers: {}, sizes: {}, defaults: {}, points: {} };
  for (const field of form.querySelectorAll("select[name], input[type=number][name]")) {
    const { name, options, min, max, step, defaultValue } = field;
    if (options) controls.menus[name] = [...options].map((option) => option.value);
    else controls.numbers[name] = { min, max, step };
    controls.defaults[name] = options ? field.querySelector("[selected]").value : defaultValue;
  }
  for (const { value, dataset } of form.querySelectorAll("[data-min]")) {
    controls.sizes[value] = { min: dataset.min, max: dataset.max, value: dataset.size };
  }
  const { value, dataset } = form.querySelector("[data-reach]");
  controls.points = { data: value, reach: dataset.reach, most: dataset.most };
  return controls;
};

const tableRow = (tag, texts) => {
  const row = document.createElement("tr");
  for (const [i, text] of texts.entries()) {
    const cell = document.createElement(i ? tag : "th");
    cell.textContent = text;
    if (cell.matches("th")) cell.scope = tag === "th" ? "col" : "row";
    row.append(cell);
  }
  return row;
};

// Start the lab in its element. `explain` turns an error into a sentence for the reader.
export const open = (lab, explain) => {
  const part = (name) => lab.querySelector(`.lab-${name}`);
  const form = lab.querySelector("form");
  const field = (name) => form.elements[name];
  const colour = (name) => getComputedStyle(lab).getPropertyValue(name).trim();
  const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
  const controls = controlsOf(form);
  const [REACH, MOST] = [+controls.points.reach, +controls.points.most];
  const charts = new Charts(part, colour);
  const canvases = new Canvases(part, colour);

  let settings;
  let notes = []; // sentences on parts of a link or a field that are left out
  let own = []; // the reader's own points: [x, y, class]
  let cross = [0, 0]; // where the keyboard places the next point
  let offered; // lab.json: the data, and the optimizers as numbers
  let engine; // the module, when it is loaded
  let loading = null; // a promise while it loads
  let failures = 0; // how often it failed to load
  let failure = ""; // a sentence on the last failure, "" after a success
  let run; // the record of this training
  let trainer = null; // the network at its step; null until it is initialized
  let running = null; // a new object for each press of Train; null while nothing trains

  const placing = () => settings.data === controls.points.data;
  const points = () => {
    if (placing()) return { x: own.map(([x, y]) => [x, y]), y: own.map((point) => point[2]) };
    return offered?.data[settings.data] ?? { x: [], y: [] };
  };

  // Settings --------------------------------------------------------------------------------------

  const writeLink = () =>
    history.replaceState(null, "", location.pathname + location.search + link(settings, own, controls));

  // Write the settings into the controls, and reset the training.
  const apply = (chosen) => {
    settings = chosen;
    for (const [name, value] of Object.entries(chosen)) field(name).value = value;
    const { label, min, max, drawn } = field("start").selectedOptions[0].dataset;
    const size = field("size");
    size.parentElement.hidden = !label;
    field("seed").parentElement.hidden = drawn === "no";
    if (label) [size.previousElementSibling.textContent, size.min, size.max] = [label, min, max];
    part("own").hidden = !placing();
    const layers = Array.from({ length: chosen.depth }, (_, i) => {
      return new Option(phrase("hidden layer {number}", { number: i + 1 }), i);
    });
    if (part("layer").options.length !== layers.length) part("layer").replaceChildren(...layers);
    const answer = part("answer");
    answer.setAttribute("role", placing() ? "application" : "img");
    if (placing()) answer.tabIndex = 0;
    else answer.removeAttribute("tabindex");
    return reset();
  };

  const linked = () => location.hash.includes("="); // otherwise it is an anchor of the page, or empty
  const followLink = () => {
    const found = read(linked() ? location.hash.slice(1) : "", controls);
    notes = found.notes;
    own = found.own ?? own;
    if (linked()) lab.scrollIntoView(); // the controls have changed
    return apply(found.settings);
  };

  // A way back to the page of the book that the reader comes from.
  const offerBack = () => {
    const pages = [...document.querySelectorAll(".bd-links a")];
    const from = document.referrer.split("#")[0];
    const page = pages.find(({ href }) => href === from && href !== location.href.split("#")[0]);
    if (!page) return;
    const back = part("back").firstElementChild;
    [back.href, back.textContent] = [from, phrase("Back to {page}", { page: page.textContent.trim() })];
    part("back").hidden = false;
  };

  // Training --------------------------------------------------------------------------------------

  const setRunning = (token) => {
    running = token;
    part("train").textContent = token ? phrase("Pause") : failure ? phrase("Try again") : phrase("Train");
  };
  const pause = () => setRunning(null);

  const record = (report) => {
    run.record(report, trainer.parameters);
    if (run.diverged !== null) running = null;
  };

  const reset = async () => {
    pause();
    trainer = null;
    run = new Run(settings, points().y);
    charts.clear();
    for (const rows of part("table").querySelectorAll("thead, tbody")) rows.replaceChildren();
    if (engine) await initialize();
    else show();
  };

  // Initialize the network, and evaluate it at step 0.
  const initialize = async () => {
    const mine = run;
    let made, report;
    if (!trainable(points().y)) return show();
    try {
      const parameters = await engine.initialize(settings, offered);
      made = await engine.Trainer.at(settings, parameters, points(), offered);
      report = await made.evaluate();
    } catch (error) {
      return fail(error);
    }
    if (mine !== run || trainer) return; // reset meanwhile, or another call was faster
    trainer = made;
    failure = "";
    part("plots").hidden = false;
    setRunning(running);
    charts.make(engine.uPlot, run);
    record(report);
    await show();
  };

  const fail = (error) => {
    engine = null;
    failures++;
    failure = explain(error);
    pause();
    show();
  };

  const fetchOffered = async () => {
    const answer = await fetch(url("lab.json"));
    if (!answer.ok) throw new Error(phrase("{name} is not there", { name: "lab.json" }));
    offered = await answer.json();
  };

  // Load what is missing, and initialize. The result tells whether there is something to train.
  const load = async () => {
    if (!engine) {
      try {
        if (!offered) await fetchOffered();
        const address = url("engine.js");
        if (failures) address.searchParams.set("again", failures);
        engine = await import(address);
      } catch (error) {
        return fail(error);
      }
      const style = document.createElement("link");
      [style.rel, style.href] = ["stylesheet", url("uplot/uPlot.min.css")];
      document.head.append(style);
    }
    if (!trainer) await initialize();
    return trainer && trainable(points().y) && run.diverged === null;
  };
  const loaded = () => {
    failure = "";
    loading ??= Promise.resolve()
      .then(load)
      .finally(() => (loading = null));
    if (!trainer) say();
    return loading;
  };

  const train = async () => {
    if (running) {
      pause();
      return show();
    }
    const mine = {};
    setRunning(mine);
    if (!(await loaded())) return pause();
    const goal = settings.steps * (Math.floor(run.step / settings.steps) + 1);
    const last = Math.min(goal, field("steps").max);
    while (running === mine && run.step < last) {
      const from = performance.now();
      do record(await trainer.step());
      while (running === mine && run.step < last && performance.now() - from < SLICE);
      await show(true);
      await new Promise(setTimeout);
    }
    if (running === mine || run.diverged !== null) {
      pause();
      show();
    }
  };

  const takeStep = async () => {
    if (loading) return;
    pause();
    if (!(await loaded()) || running) return;
    record(await trainer.step());
    await show();
  };

  // Output ----------------------------------------------------------------------------------------

  const layer = () => +part("layer").value;
  const currentState = () => ({
    settings,
    labels: points().y,
    run,
    network: trainer && {
      distinct: distinct(trainer.parameters, settings.depth),
      gap: gap(trainer.parameters, 0),
      moves: (count) => trainer.moves(count),
    },
    layer: layer(),
    loading: loading !== null,
    failure,
  });

  let saidAt = 0; // the time at which the sentence was last written
  const say = (text) => {
    saidAt = performance.now();
    const state = currentState();
    text ??= together(...notes, sentence(state));
    if (part("says").textContent !== text) part("says").textContent = text;
    for (const [name, label] of Object.entries(descriptions(state))) part(name).setAttribute("aria-label", label);
    if (trainer) listNumbers(state.network.distinct);
  };

  const listNumbers = (units) => {
    const layers = [...run.norms().keys()].map((i) => ({ layer: layerName(i, run.depth) }));
    const head = [
      phrase("step"),
      phrase("loss"),
      ...layers.map((values) => phrase("gradient, {layer}", values)),
      ...layers.map((values) => phrase("mean square, {layer}", values)),
      ...units.map((_, i) => phrase("different units, layer {number}", { number: i + 1 })),
    ];
    part("table").querySelector("thead").replaceChildren(tableRow("th", head));
    const listed = run.listed.at(-1)[0] === run.step ? run.listed : [...run.listed, [run.step, units]];
    const body = listed.map(([at, different]) =>
      tableRow("td", [at, ...[run.loss(at), ...run.norms(at), ...run.signals(at)].map(short), ...different]),
    );
    part("table").querySelector("tbody").replaceChildren(...body);
  };

  const drawAnswer = () => {
    const reach = placing() ? REACH : 1.1 * Math.max(0.1, ...points().x.flat().map(Math.abs));
    const focused = placing() && document.activeElement === part("answer");
    return canvases.drawAnswer(points(), reach, run.diverged === null && trainer, focused && cross);
  };

  // Draw everything. While training, wait until drawing takes a quarter of the time at most.
  let next = 0; // the time before which nothing is drawn while training
  const show = async (training = false) => {
    const from = performance.now();
    if (training && from < next) return;
    part("count").textContent = run.step;
    part("plots").hidden = failure !== "";
    part("missed").hidden = !failure;
    canvases.drawUnits(trainer?.parameters, layer());
    if (trainer && run.length) charts.draw(run);
    charts.drawSignals(run.depth, trainer && run.length ? run.signals() : null);
    await drawAnswer();
    if (!training || from - saidAt > 2000) say();
    const to = performance.now();
    next = to + Math.max(3 * (to - from), reducedMotion.matches ? 500 : 100);
  };

  const redraw = () => {
    if (trainer) charts.make(engine.uPlot, run);
    next = 0;
    show(Boolean(running));
  };

  // Input -----------------------------------------------------------------------------------------

  form.addEventListener("change", ({ target }) => {
    if (target.name === "class") return;
    const given = Object.fromEntries(Object.keys(controls.defaults).map((name) => [name, field(name).value]));
    if (target.name === "start") delete given.size;
    const chosen = choose(given, controls);
    notes = chosen.notes;
    if (target.name === "steps") settings.steps = target.value = chosen.settings.steps;
    else apply(chosen.settings);
    writeLink();
    if (notes.length) say();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    train();
  });
  part("step").addEventListener("click", takeStep);
  part("reset").addEventListener("click", () => {
    notes = [];
    reset();
  });
  part("layer").addEventListener("change", () => show());
  part("copy").addEventListener("click", async () => {
    const state = { ...settings, steps: run.step || settings.steps };
    const address = location.href.split("#")[0] + link(state, own, controls);
    const copied = await navigator.clipboard?.writeText(address).then(() => true, () => false);
    const done = phrase("Link copied: opened, it brings this state back when Train is pressed.");
    say(copied ? done : phrase("The link of this state is {address}", { address }));
  });

  // The reader's own points, placed by click or by keyboard.
  const replace = (points) => {
    own = points.slice(0, MOST);
    const left = phrase("{most} points are the most: the last one is left out.", { most: MOST });
    notes = points.length > MOST ? [left] : [];
    reset();
    writeLink();
  };
  const round = (value) => Number(Math.max(-REACH, Math.min(REACH, value)).toFixed(2));
  const place = () => replace([...own, [...cross, Number(field("class").value)]]);
  const answer = part("answer");
  answer.addEventListener("click", ({ offsetX, offsetY }) => {
    if (!placing()) return;
    const from = (pixels) => round(((2 * pixels) / answer.clientWidth - 1) * REACH);
    cross = [from(offsetX), -from(offsetY)];
    place();
  });
  answer.addEventListener("keydown", (event) => {
    if (!placing()) return;
    const distance = (point) => Math.hypot(point[0] - cross[0], point[1] - cross[1]);
    const nearest = [...own].sort((p, q) => distance(p) - distance(q))[0];
    if (event.key in MOVES) cross = cross.map((value, i) => round(value + MOVES[event.key][i] / 10));
    else if (event.key === "Enter" || event.key === " ") place();
    else if (event.key === "Delete" && own.length) replace(own.filter((point) => point !== nearest));
    else return;
    event.preventDefault();
    const values = { place: cross.join(", "), count: own.length };
    part("cross").textContent = phrase("The cross is at {place}; points: {count}.", values);
    show();
  });
  for (const type of ["focus", "blur"]) answer.addEventListener(type, () => drawAnswer());
  part("remove").addEventListener("click", () => replace([]));

  addEventListener("hashchange", () => linked() && followLink().then(loaded));
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });

  // For the tests.
  lab.lab = {
    controls,
    state: () => ({
      settings: { ...settings },
      step: run.step,
      losses: Array.from({ length: run.length }, (_, at) => run.loss(at)),
      norms: Array.from({ length: run.length }, (_, at) => run.norms(at)),
      signals: Array.from({ length: run.length }, (_, at) => run.signals(at)),
      distinct: trainer && distinct(trainer.parameters, settings.depth),
      parted: run.parted,
      escaped: run.escaped,
      entropy: run.entropy,
      sentence: part("says").textContent,
    }),
    parameters: () => trainer.parameters.map((array) => [...array]),
    step: async (arrays) => (await trainer.outputsAt(arrays)).map((array) => [...array]),
  };

  offerBack();
  followLink();
  // A link asks for its state: its step 0 is shown at once.
  fetchOffered().then(() => reset().then(() => linked() && loaded()), fail);
  new ResizeObserver(redraw).observe(part("plots"));
};
