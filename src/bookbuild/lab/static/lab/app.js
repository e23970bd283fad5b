// The lab on its page: it reads the controls, runs the training, and shows what came of it.
// The engine is loaded at the first press of Train or Step.

import { Canvases } from "./canvases.js";
import { Charts } from "./charts.js";
import { Run, distinct, gap, trainable } from "./run.js";
import { descriptions, layerName, sentence, short } from "./sentence.js";
import { choose, link, read } from "./settings.js";

const SLICE = 12; // milliseconds of training between two looks at what the reader does
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

// What the form offers, as it stands in lab.html: see settings.js.
const controlsOf = (form) => {
  const controls = { menus: {}, numbers: {}, sizes: {}, usual: {}, points: {} };
  for (const field of form.querySelectorAll("select[name], input[type=number][name]")) {
    const { name, options, min, max, step, defaultValue } = field;
    if (options) controls.menus[name] = [...options].map((option) => option.value);
    else controls.numbers[name] = { min, max, step };
    controls.usual[name] = options ? field.querySelector("[selected]").value : defaultValue;
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

// Start the lab in its element. `explain` turns an error into a sentence on what did not load.
export const open = (lab, explain) => {
  const part = (name) => lab.querySelector(`.lab-${name}`);
  const form = lab.querySelector("form");
  const field = (name) => form.elements[name];
  const colour = (name) => getComputedStyle(lab).getPropertyValue(name).trim();
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const controls = controlsOf(form);
  const [REACH, MOST] = [+controls.points.reach, +controls.points.most];
  const charts = new Charts(part, colour);
  const canvases = new Canvases(part, colour);

  let settings;
  let notes = []; // on what was not taken of a link or a field
  let own = []; // the reader's points: [x, y, class]
  let cross = [0, 0]; // where the keyboard places the next
  let offered; // lab.json: the data, and the optimizers as numbers
  let engine; // the module, when it is loaded
  let loading = null; // a promise while it loads
  let failed = 0; // loads that failed
  let failure = ""; // why the last did
  let run; // what is known of this training
  let trainer = null; // the network at its step; null before its first look
  let running = null; // an object of its own for each press of Train; null while nothing trains

  const placing = () => settings.data === controls.points.data;
  const points = () => {
    if (placing()) return { x: own.map(([x, y]) => [x, y]), y: own.map((point) => point[2]) };
    return offered?.data[settings.data] ?? { x: [], y: [] };
  };

  // Settings --------------------------------------------------------------------------------------

  const writeLink = () =>
    history.replaceState(null, "", location.pathname + location.search + link(settings, own, controls));

  // Put the settings into the controls, and reset the training.
  const take = (chosen) => {
    settings = chosen;
    for (const [name, value] of Object.entries(chosen)) field(name).value = value;
    const { label, min, max, drawn } = field("start").selectedOptions[0].dataset;
    const size = field("size");
    size.parentElement.hidden = !label;
    field("seed").parentElement.hidden = drawn === "no";
    if (label) [size.previousElementSibling.textContent, size.min, size.max] = [label, min, max];
    part("own").hidden = !placing();
    const layers = Array.from({ length: chosen.depth }, (_, i) => new Option(`hidden layer ${i + 1}`, i));
    if (part("layer").options.length !== layers.length) part("layer").replaceChildren(...layers);
    const answer = part("answer");
    answer.setAttribute("role", placing() ? "application" : "img");
    if (placing()) answer.tabIndex = 0;
    else answer.removeAttribute("tabindex");
    return reset();
  };

  const follow = () => {
    const state = location.hash.includes("="); // else the link leads to a place of the page
    const found = read(state ? location.hash.slice(1) : "", controls);
    notes = found.notes;
    own = found.own ?? own;
    if (state) lab.scrollIntoView(); // the controls that the link sets
    return take(found.settings);
  };

  // Training --------------------------------------------------------------------------------------

  const setRunning = (token) => {
    running = token;
    part("train").textContent = token ? "Pause" : failure ? "Try again" : "Train";
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
    if (engine) await begin();
    else show();
  };

  // Initialize the network, and look at it there.
  const begin = async () => {
    const of = run;
    let made, report;
    if (!trainable(points().y)) return show();
    try {
      const parameters = await engine.initialize(settings, offered);
      made = await engine.Trainer.at(settings, parameters, points(), offered);
      report = await made.evaluate();
    } catch (error) {
      return fail(error);
    }
    if (of !== run || trainer) return; // it was reset, or another call was faster
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
    failed++;
    failure = explain(error);
    pause();
    show();
  };

  const fetchOffered = async () => {
    const answer = await fetch(new URL("lab.json", import.meta.url));
    if (!answer.ok) throw new Error("lab.json is not there");
    offered = await answer.json();
  };

  // Load what is missing. The result says whether there is something to train.
  const load = async () => {
    if (!engine) {
      try {
        if (!offered) await fetchOffered();
        engine = await import(new URL(`engine.js${failed ? `?again=${failed}` : ""}`, import.meta.url));
      } catch (error) {
        return fail(error);
      }
      const style = document.createElement("link");
      [style.rel, style.href] = ["stylesheet", new URL("uplot/uPlot.min.css", import.meta.url)];
      document.head.append(style);
    }
    if (!trainer) await begin();
    return trainer && trainable(points().y) && run.diverged === null;
  };
  const ready = () => {
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
    if (!(await ready())) return pause();
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

  const once = async () => {
    if (loading) return;
    pause();
    if (!(await ready()) || running) return;
    record(await trainer.step());
    await show();
  };

  // What is shown ---------------------------------------------------------------------------------

  const layer = () => +part("layer").value;
  const now = () => ({
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

  let said = 0; // when the sentence was last written
  const say = (text) => {
    said = performance.now();
    const state = now();
    text ??= [...notes, sentence(state)].join(" ");
    if (part("says").textContent !== text) part("says").textContent = text;
    for (const [name, label] of Object.entries(descriptions(state))) part(name).setAttribute("aria-label", label);
    if (trainer) listNumbers(state.network.distinct);
  };

  const listNumbers = (units) => {
    const gradients = run.norms().map((_, i) => `gradient, ${layerName(i, run.depth)}`);
    const head = ["step", "loss", ...gradients, ...units.map((_, i) => `different units, layer ${i + 1}`)];
    part("table").querySelector("thead").replaceChildren(tableRow("th", head));
    const listed = run.listed.at(-1)[0] === run.step ? run.listed : [...run.listed, [run.step, units]];
    const body = listed.map(([at, different]) =>
      tableRow("td", [at, ...[run.loss(at), ...run.norms(at)].map(short), ...different]),
    );
    part("table").querySelector("tbody").replaceChildren(...body);
  };

  const drawAnswer = () => {
    const far = placing() ? REACH : 1.1 * Math.max(0.1, ...points().x.flat().map(Math.abs));
    const focused = placing() && document.activeElement === part("answer");
    return canvases.drawAnswer(points(), far, run.diverged === null && trainer, focused && cross);
  };

  // Draw everything; while training only if drawing then takes a quarter of the time at most.
  let next = 0;
  const show = async (training = false) => {
    const from = performance.now();
    if (training && from < next) return;
    part("count").textContent = run.step;
    part("plots").hidden = failure !== "";
    part("missed").hidden = !failure;
    canvases.drawUnits(trainer?.parameters, layer());
    if (trainer && run.length) charts.draw(run);
    await drawAnswer();
    if (!training || from - said > 2000) say();
    const to = performance.now();
    next = to + Math.max(3 * (to - from), calm.matches ? 500 : 100);
  };

  const redraw = () => {
    if (trainer) charts.make(engine.uPlot, run);
    next = 0;
    show(Boolean(running));
  };

  // What the reader does --------------------------------------------------------------------------

  form.addEventListener("change", ({ target }) => {
    if (target.name === "class") return;
    const given = Object.fromEntries(Object.keys(controls.usual).map((name) => [name, field(name).value]));
    if (target.name === "start") delete given.size;
    const chosen = choose(given, controls);
    notes = chosen.notes;
    if (target.name === "steps") settings.steps = target.value = chosen.settings.steps;
    else take(chosen.settings);
    writeLink();
    if (notes.length) say();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    train();
  });
  part("step").addEventListener("click", once);
  part("reset").addEventListener("click", () => {
    notes = [];
    reset();
  });
  part("layer").addEventListener("change", () => show());
  part("copy").addEventListener("click", async () => {
    const state = { ...settings, steps: run.step || settings.steps };
    const address = location.href.split("#")[0] + link(state, own, controls);
    const copied = await navigator.clipboard?.writeText(address).then(() => true, () => false);
    const done = "Link copied: opened, it brings this state back when Train is pressed.";
    say(copied ? done : `The link of this state is ${address}`);
  });

  // The reader's points, placed by click or by keyboard.
  const replace = (points) => {
    own = points.slice(0, MOST);
    notes = points.length > MOST ? [`${MOST} points are the most: the last one is left out.`] : [];
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
    const far = (point) => Math.hypot(point[0] - cross[0], point[1] - cross[1]);
    const nearest = [...own].sort((p, q) => far(p) - far(q))[0];
    if (event.key in MOVES) cross = cross.map((value, i) => round(value + MOVES[event.key][i] / 10));
    else if (event.key === "Enter" || event.key === " ") place();
    else if (event.key === "Delete" && own.length) replace(own.filter((point) => point !== nearest));
    else return;
    event.preventDefault();
    part("cross").textContent = `The cross is at ${cross.join(", ")}; points: ${own.length}.`;
    show();
  });
  for (const type of ["focus", "blur"]) answer.addEventListener(type, () => drawAnswer());
  part("remove").addEventListener("click", () => replace([]));

  addEventListener("hashchange", () => location.hash.includes("=") && follow());
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });

  // For the tests.
  lab.lab = {
    controls,
    state: () => ({
      settings: { ...settings },
      step: run.step,
      losses: Array.from({ length: run.length }, (_, at) => run.loss(at)),
      norms: Array.from({ length: run.length }, (_, at) => run.norms(at)),
      distinct: trainer && distinct(trainer.parameters, settings.depth),
      parted: run.parted,
      left: run.escaped,
      entropy: run.entropy,
      sentence: part("says").textContent,
    }),
    parameters: () => trainer.parameters.map((array) => [...array]),
    step: async (arrays) => (await trainer.from(arrays)).map((array) => [...array]),
  };

  follow();
  fetchOffered().then(reset, fail);
  new ResizeObserver(redraw).observe(part("plots"));
};
