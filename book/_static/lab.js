// The lab: its controls, its drawings, and one sentence that says what is happening.
// What trains is in lab/machine.js, which is loaded at the first press of Train or Step.

(() => {
  const base = document.currentScript.src;
  const lab = document.querySelector(".lab");
  const part = (name) => lab.querySelector(`.lab-${name}`);
  const form = lab.querySelector("form");
  const field = (name) => form.elements[name];
  const list = (count, make) => Array.from({ length: count }, (_, i) => make(i));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  const SLICE = 12; // milliseconds of training in a task; what the reader does comes between two
  const MOST = 128; // points of one's own
  const REACH = 3; // of the square they are placed in
  const APART = 0.1; // the gap at which units that were tied have parted
  const LEFT = 0.9; // the part of H(p) below which the loss has left the plateau
  const LEAST = -12; // the lowest power of ten drawn
  const SIDE = 48; // of the grid on which the network is asked

  let offered; // lab.json: the data, and what the optimizers are as numbers
  let tools; // machine.js
  let machine; // the network where it stands
  let settings;
  let own = []; // the reader's points: [x, y, class]
  let cross = [0, 0];
  let record, rows, parted, left, diverged, seen; // of this training
  let charts = {};
  let running = null; // an object of its own for every run
  let turn = 0; // counts the starts
  let tries = 0; // failed loads
  let notes = [];
  let failure = "";

  // Settings and links ----------------------------------------------------------------------------

  const NAMES = ["activation", "start", "size", "depth", "width", "optimizer", "lr", "data", "seed", "steps"];
  const limits = (start) => field("start").querySelector(`[value="${start}"]`).dataset;

  const standard = (name, start) => {
    if (name === "size") return limits(start).size;
    const { options, defaultValue } = field(name);
    return options ? [...options].find((option) => option.defaultSelected).value : defaultValue;
  };

  const DECIMAL = /^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$/i;
  const decimal = (text) => (DECIMAL.test(text) ? Number(text) : NaN);

  // What a value must be, if it is not that.
  const wanted = (name, text, start) => {
    const { options, step, min, max } = field(name);
    if (options) {
      const values = [...options].map((option) => option.value);
      return values.includes(text) ? "" : `one of ${values.join(", ")}`;
    }
    const [low, high] = name === "size" ? [limits(start).min, limits(start).max] : [min, max];
    const value = decimal(text);
    if (value >= +low && value <= +high && (step === "any" || Number.isInteger(value))) return "";
    return `a ${step === "any" ? "" : "whole "}number from ${low} to ${high}`;
  };

  // Settings from texts by name; a note for each text that is not taken.
  const choose = (given) => {
    const chosen = {};
    notes = Object.keys(given)
      .filter((name) => ![...NAMES, "points"].includes(name))
      .map((name) => `“${name}” is no setting of the lab: it is left out.`);
    for (const name of NAMES) {
      if (name === "size" && !limits(chosen.start).size) continue;
      const wrong = name in given && wanted(name, given[name], chosen.start);
      const text = wrong || !(name in given) ? standard(name, chosen.start) : given[name];
      if (wrong) notes.push(`“${name}=${given[name]}” is not ${wrong}: ${text} is taken.`);
      chosen[name] = isNaN(text) ? text : Number(text);
    }
    return chosen;
  };

  const placed = (text) => {
    const points = text ? text.split(",").map((point) => point.split(":").map(decimal)) : [];
    const good = points.filter(
      (p) => p.length === 3 && Math.abs(p[0]) <= REACH && Math.abs(p[1]) <= REACH && [0, 1].includes(p[2]),
    );
    const left = points.length - Math.min(good.length, MOST);
    const rule = `One is x:y:class, from −${REACH} to ${REACH} and 0 or 1, and ${MOST} are the most`;
    if (!text) notes.push(`“points” is empty. ${rule}.`);
    if (left) notes.push(`Points left out: ${left}. ${rule}.`);
    return good.slice(0, MOST);
  };

  const fragment = (steps = settings.steps) => {
    const now = { ...settings, steps };
    const usual = (name) => standard(name, now.start);
    const other = (name) => name in now && now[name] !== (isNaN(usual(name)) ? usual(name) : +usual(name));
    const texts = NAMES.filter(other).map((name) => `${name}=${now[name]}`);
    if (now.data === "own" && own.length) texts.push(`points=${own.map((point) => point.join(":")).join()}`);
    return texts.length ? `#${texts.join("&")}` : "";
  };

  const write = () => history.replaceState(null, "", location.pathname + location.search + fragment());

  // Put the settings into the controls, and start anew.
  const take = (chosen) => {
    settings = chosen;
    for (const name of NAMES) if (name in chosen) field(name).value = chosen[name];
    const { label, min, max, drawn } = limits(chosen.start);
    const size = field("size");
    size.parentElement.hidden = !label;
    field("seed").parentElement.hidden = drawn === "no";
    if (label) [size.previousElementSibling.textContent, size.min, size.max] = [label, min, max];
    part("own").hidden = chosen.data !== "own";
    const { options } = part("layer");
    const layers = list(chosen.depth, (i) => new Option(`hidden layer ${i + 1}`, i));
    if (options.length !== layers.length) part("layer").replaceChildren(...layers);
    const answer = part("answer");
    answer.setAttribute("role", chosen.data === "own" ? "application" : "img");
    if (chosen.data === "own") answer.tabIndex = 0;
    else answer.removeAttribute("tabindex");
    return reset();
  };

  const fromLink = () => {
    const told = location.hash.includes("="); // else it leads to a place of the page
    const pairs = [...new URLSearchParams(told ? location.hash.slice(1) : "")];
    const given = Object.fromEntries(pairs);
    const chosen = choose(given);
    if (pairs.length > Object.keys(given).length) notes.push("A name is there twice: its last value is taken.");
    if ("size" in given && !("size" in chosen)) notes.push(`“size” has no use with start=${chosen.start}: it is left out.`);
    if ("points" in given) {
      if (chosen.data === "own") own = placed(given.points);
      else notes.push("“points” has no use without data=own: it is left out.");
    }
    if (told) lab.scrollIntoView(); // what was chosen is seen first
    return take(chosen);
  };

  // Training --------------------------------------------------------------------------------------

  const points = () => {
    if (settings.data === "own") return { x: own.map(([x, y]) => [x, y]), y: own.map((point) => point[2]) };
    return offered?.data[settings.data] ?? { x: [], y: [] };
  };
  const share = () => points().y.reduce((a, b) => a + b, 0) / points().y.length;
  const trainable = () => share() > 0 && share() < 1;
  const entropy = () => -[share(), 1 - share()].reduce((sum, p) => sum + p * Math.log(p), 0);

  // A row of numbers for every step; the room doubles when it is full.
  const recorder = (width) => {
    let room = new Float32Array(1024 * width);
    return {
      length: 0,
      push(...row) {
        if (room.length === this.length * width) {
          const more = new Float32Array(2 * room.length);
          more.set(room);
          room = more;
        }
        room.set(row, width * this.length++);
      },
      at: (step) => room.subarray(width * step, width * (step + 1)),
    };
  };
  const step = () => Math.max(0, record.length - 1);
  const loss = (at = step()) => record.at(at)[0];
  const layerNorms = (at = step()) => [...record.at(at).subarray(1)];
  const distinct = () =>
    list(settings.depth, (i) => tools.twins(machine.parameters, i).length);

  const note = (now) => {
    seen = now;
    const layers = list(settings.depth + 1, (i) => Math.hypot(seen.norms[2 * i], seen.norms[2 * i + 1]));
    record.push(seen.loss, ...layers);
    if (!Number.isFinite(seen.loss)) [diverged, running] = [step(), null];
    const told = settings.start === "tied" && parted === null;
    if (told && tools.gap(machine.parameters, 0) > APART) parted = step();
    const leaves = left === null && seen.loss < LEFT * entropy();
    if (leaves) left = step();
    if (leaves || parted === step() || /^(0|[125]0*)$/.test(step())) rows.push([step(), distinct()]);
  };

  const run = (token) => {
    running = token;
    part("train").textContent = token ? "Pause" : failure ? "Try again" : "Train";
  };
  const pause = () => run(null);

  const reset = async () => {
    pause();
    machine = null;
    record = recorder(settings.depth + 2);
    [rows, parted, left, diverged] = [[], null, null, null];
    turn++;
    clear();
    for (const name of ["loss", "norms", "units"]) label(name, "Empty: nothing is trained yet.");
    for (const rows of part("table").querySelectorAll("thead, tbody")) rows.replaceChildren();
    if (tools) await begin();
    else show();
  };

  // Set the machine to its start, and look at it there.
  const begin = async () => {
    const mine = turn;
    let first;
    if (!trainable()) return show();
    try {
      const arrays = await tools.begin(settings, offered);
      const made = await tools.Machine.at(settings, arrays, points(), offered);
      first = await made.run();
      if (mine !== turn || machine) return;
      machine = made;
    } catch (error) {
      return fail(error);
    }
    failure = "";
    part("plots").hidden = false;
    run(running);
    draftCharts();
    note(first);
    await show();
  };

  const fail = (error) => {
    tools = null;
    tries++;
    const why =
      location.protocol === "file:"
        ? "A browser does not let a page on disk load it: make serve shows it"
        : !("WebAssembly" in window && "DecompressionStream" in window)
          ? "This browser lacks what it runs on (WebAssembly, DecompressionStream)"
          : `What it runs on did not load (${error.message.split(/[.:]\s|\n/)[0]})`;
    failure = `${why}. The picture below shows the four classic starts.`;
    pause();
    show();
  };

  const fetchOffered = async () => {
    const answer = await fetch(new URL("lab/lab.json", base));
    if (!answer.ok) throw new Error("lab.json is not there");
    offered = await answer.json();
  };

  let loading = null;
  const ready = () => {
    failure = "";
    loading ??= Promise.resolve()
      .then(load)
      .finally(() => (loading = null));
    if (!machine) say();
    return loading;
  };
  const load = async () => {
    if (!tools) {
      try {
        if (!offered) await fetchOffered();
        tools = await import(new URL(`lab/machine.js${tries ? `?again=${tries}` : ""}`, base));
      } catch (error) {
        return fail(error);
      }
      const style = document.createElement("link");
      [style.rel, style.href] = ["stylesheet", new URL("lab/uplot/uPlot.min.css", base)];
      document.head.append(style);
    }
    if (!machine) await begin();
    return machine && trainable() && diverged === null;
  };

  const train = async () => {
    if (running) return [pause(), show()];
    const mine = {};
    run(mine);
    if (!(await ready())) return pause();
    const goal = settings.steps * (Math.floor(step() / settings.steps) + 1);
    const until = Math.min(goal, field("steps").max);
    while (running === mine && step() < until) {
      const from = performance.now();
      do note(await machine.step());
      while (running === mine && step() < until && performance.now() - from < SLICE);
      await show(true);
      await new Promise(setTimeout);
    }
    if (running === mine || diverged !== null) [pause(), show()];
  };

  const once = async () => {
    if (loading) return;
    pause();
    if (!(await ready()) || running) return;
    note(await machine.step());
    await show();
  };

  // The sentence ----------------------------------------------------------------------------------

  const short = (value) => String(Number(value.toPrecision(4)));
  // On an axis, a number of any size is a few signs wide.
  const tick = (value) => {
    const plain = !value || (Math.abs(value) < 1e4 && Math.abs(value) >= 1e-3);
    return plain ? short(value) : Number(value.toPrecision(2)).toExponential().replace("+", "");
  };
  const plateau = () => (left ? ` It was first below nine tenths of H(p) at step ${left}.` : "");
  const compared = (a, b) => {
    const below = +a < +b;
    if (!step()) {
      const where = below ? "already below" : "not below";
      return `Before training: all units differ; the loss is ${a}, ${where} H(p) = ${b}.`;
    }
    if (!below) return `All units differ; the loss, ${a}, is not below H(p) = ${b}.${plateau()}`;
    return `Learning: the loss is ${a}, below H(p) = ${b}, which no constant output can beat.${plateau()}`;
  };

  const sentence = () => {
    if (settings.data === "own" && !trainable()) {
      const lacks = own.length ? `a point of class ${own[0][2] ? "A" : "B"}` : "points of both classes";
      return `There is nothing to tell apart yet: place ${lacks} in the square of the network’s answer.`;
    }
    if (failure) return failure;
    if (!machine && loading) return "Loading what runs the training: about 4 MB, once.";
    if (!machine) return "Nothing is trained yet. Train and Step load what runs it: about 4 MB, once.";
    if (diverged !== null) {
      return `Diverged at step ${diverged}: the loss is not finite. Try a smaller learning rate.`;
    }
    const [a, b] = [short(loss()), short(entropy())];
    const norms = [...seen.norms];
    if (!norms.slice(0, -1).some(Boolean)) {
      const zero = norms.at(-1) ? "every gradient but that of the output bias" : "every gradient";
      // What an optimizer still carries on, from gradients of before.
      const coasts = machine.moves(norms.length - (norms.at(-1) ? 1 : 0));
      if (coasts) return `Coasting: ${zero} is exactly zero; momentum of earlier steps moves the rest.`;
      if (!norms.at(-1)) return "At rest: every gradient is exactly zero, so nothing moves.";
      const rest =
        +a > +b
          ? `The loss is ${a}; it can fall to H(p) = ${b} and no further.`
          : `The loss has fallen to H(p) = ${b}, as far as it can.`;
      if (machine.moves()) return `Dead: only the output bias has a gradient, so only it moves. ${rest}`;
      return `Dead, and arrived: only the output bias has a gradient, too small to move it. ${rest}`;
    }
    const groups = distinct();
    const collapsed = groups.flatMap((k, i) => (k < settings.width ? `of layer ${i + 1} act as ${k}` : []));
    const bound = `The loss is ${a}, and H(p) = ${b}.${plateau()}`;
    if (collapsed.length) {
      return `Collapsed: the ${settings.width} units ${collapsed.join(", those ")}. ${bound}`;
    }
    if (settings.start !== "tied") return compared(a, b);
    if (parted !== null) {
      return `Parted at step ${parted}: there the units of layer 1 first differed by more than a tenth. ${compared(a, b)}`;
    }
    const most = short(tools.gap(machine.parameters, 0));
    return `Nearly collapsed: the units of layer 1 differ by ${most} at most. ${bound}`;
  };

  let said = 0;
  const say = (text = [...notes, sentence()].join(" ")) => {
    said = performance.now();
    if (part("says").textContent !== text) part("says").textContent = text;
    const { y } = points();
    const correct = (label, i) => seen.logits[2 * i + 1] > seen.logits[2 * i] === Boolean(label);
    const right = machine ? `It has ${y.filter(correct).length} of them right.` : "";
    label("answer", `The network’s answer and ${y.length} points, of class A ● or class B ■. ${right}`);
    if (!machine) return;
    const [began, is, bound] = [loss(0), loss(), entropy()].map(short);
    label("loss", `Loss by step, 0 to ${step()}: it began at ${began} and is ${is}. A line marks H(p) = ${bound}.`);
    const named = layerNorms().map((norm, i) => `${layerName(i)} ${short(norm)}`);
    label("norms", `Gradient norm of each layer by step, now: ${named.join(", ")}.`);
    const layer = +part("layer").value;
    const groups = tools.twins(machine.parameters, layer);
    const units = `${settings.width} units of hidden layer ${layer + 1}`;
    label("units", `The ${units}, each a dot at two of its weights: ${groups.length} different.`);
    listNumbers();
  };
  const label = (name, text) => part(name).setAttribute("aria-label", text);
  const layerName = (i) => (i < settings.depth ? `layer ${i + 1}` : "output");

  const listNumbers = () => {
    const hidden = list(settings.depth, (i) => i + 1);
    const gradients = layerNorms().map((_, i) => `gradient, ${layerName(i)}`);
    const head = ["step", "loss", ...gradients, ...hidden.map((i) => `different units, layer ${i}`)];
    const listed = rows.at(-1)[0] === step() ? rows : [...rows, [step(), distinct()]];
    const line = (tag, texts) => {
      const row = document.createElement("tr");
      for (const [i, text] of texts.entries()) {
        const cell = document.createElement(i ? tag : "th");
        cell.textContent = text;
        if (cell.matches("th")) cell.scope = tag === "th" ? "col" : "row";
        row.append(cell);
      }
      return row;
    };
    part("table").querySelector("thead").replaceChildren(line("th", head));
    const body = listed.map(([at, units]) => line("td", [at, ...[...record.at(at)].map(short), ...units]));
    part("table").querySelector("tbody").replaceChildren(...body);
  };

  // Drawings --------------------------------------------------------------------------------------

  const colour = (name) => getComputedStyle(lab).getPropertyValue(name).trim();
  const INK = "--pst-color-text-base";
  const GROUND = "--lab-ground";
  // A line's colour, its dash, and the frame of its mark in the legend.
  const LOOKS = {
    loss: ["--lab-3", [], "solid"],
    bound: [INK, [7, 4], "dashed"],
    layers: [
      ["--lab-1", [], "solid"],
      ["--lab-2", [7, 3], "dashed"],
      ["--lab-4", [2, 3], "dotted"],
      ["--lab-5", [9, 3, 2, 3], "double"],
    ],
    output: ["--lab-3", [14, 4], "dashed"],
  };

  // Draw what there is; while training, when the last drawing took a quarter of the time at most.
  let next = 0;
  const show = async (training = false) => {
    const from = performance.now();
    if (training && from < next) return;
    part("count").textContent = step();
    part("plots").hidden = failure !== "";
    part("missed").hidden = !failure;
    drawUnits();
    drawCharts();
    await drawAnswer();
    if (!training || from - said > 2000) say();
    const now = performance.now();
    next = now + Math.max(3 * (now - from), calm.matches ? 500 : 100);
  };

  // A canvas as large as it is shown, with its pen, in units of CSS pixels.
  const canvas = (name) => {
    const element = part(name);
    const side = element.clientWidth;
    [element.width, element.height] = [side * devicePixelRatio, side * devicePixelRatio];
    const pen = element.getContext("2d");
    pen.scale(devicePixelRatio, devicePixelRatio);
    pen.font = `13px ${getComputedStyle(lab).fontFamily}`;
    return { pen, side };
  };

  const rgb = (name) => colour(name).match(/[\da-f]{2}/gi).map((pair) => parseInt(pair, 16));
  const reach = () =>
    settings.data === "own" ? REACH : 1.1 * Math.max(0.1, ...points().x.flat().map(Math.abs));
  const drawAnswer = async () => {
    const { x, y } = points();
    const far = reach();
    const { pen, side } = canvas("answer");
    const shaded = machine && diverged === null ? await shade(far) : null;
    if (shaded) pen.drawImage(shaded, 0, 0, side, side);
    pen.strokeStyle = colour(INK);
    const to = (value) => (side * (value + far)) / (2 * far);
    x.forEach(([x1, x2], i) => {
      pen.fillStyle = colour(y[i] ? "--lab-b" : "--lab-a");
      pen.beginPath();
      if (y[i]) pen.rect(to(x1) - 4, to(-x2) - 4, 8, 8);
      else pen.arc(to(x1), to(-x2), 4.5, 0, 7);
      pen.fill();
      pen.stroke();
    });
    if (document.activeElement !== part("answer") || settings.data !== "own") return;
    pen.lineWidth = 2;
    pen.strokeRect(to(cross[0]) - 10, to(-cross[1]), 20, 0);
    pen.strokeRect(to(cross[0]), to(-cross[1]) - 10, 0, 20);
  };

  // The probability of class B on a grid, as a small picture: the ground where it is a half.
  let grid = {};
  const shade = async (far) => {
    if (grid.far !== far) {
      const at = (i) => far * ((2 * i + 1) / SIDE - 1);
      const all = list(SIDE * SIDE, (i) => [at(i % SIDE), -at(Math.floor(i / SIDE))]);
      grid = { far, asked: machine.labelled(all, all.map(() => 0)) };
    }
    const logits = await machine.logits(grid.asked);
    const small = new OffscreenCanvas(SIDE, SIDE);
    const image = new ImageData(SIDE, SIDE);
    const [a, b, ground] = ["--lab-a", "--lab-b", GROUND].map(rgb);
    for (let i = 0; i < SIDE * SIDE; i++) {
      const surplus = 2 / (1 + Math.exp(logits[2 * i] - logits[2 * i + 1])) - 1;
      const strength = surplus && 0.15 + 0.4 * Math.abs(surplus);
      const pixel = ground.map((c, k) => c + strength * ((surplus > 0 ? b : a)[k] - c));
      image.data.set([...pixel, 255], 4 * i);
    }
    small.getContext("2d").putImageData(image, 0, 0);
    return small;
  };

  // Every unit of a layer at its weights from two units below. Dots in one place have one label:
  // ×8 for twins, else how many they are and how many of them differ.
  const drawUnits = () => {
    const { pen, side } = canvas("units");
    const layer = +part("layer").value;
    const [first, second] = layer ? ["unit 1", "unit 2"] : ["x₁", "x₂"];
    const middle = side / 2;
    pen.strokeStyle = colour("--pst-color-border");
    pen.strokeRect(0, middle, side, 0);
    pen.strokeRect(middle, 0, 0, side);
    pen.fillStyle = colour(INK);
    pen.fillText(`↑ weight from ${second}`, 6, 16);
    pen.textAlign = "right";
    pen.fillText(`weight from ${first} →`, side - 6, side - 8);
    if (!machine) return;
    const into = layer ? settings.width : 2;
    const weight = machine.parameters[2 * layer];
    const largest = weight.reduce((most, w, i) => (i % into < 2 ? Math.max(most, Math.abs(w)) : most), 0);
    const far = largest ? 2 ** Math.ceil(Math.log2(1.15 * largest)) : 1;
    pen.fillText(tick(far), side - 4, middle - 6);
    pen.textAlign = "left";
    const places = [];
    for (const group of tools.twins(machine.parameters, layer)) {
      const [x, y] = [0, 1].map((i) => weight[group[0] * into + i] / far);
      const [left, top] = [middle * (1 + x), middle * (1 - y)];
      const near = places.find((place) => Math.hypot(place.left - left, place.top - top) < 2);
      if (near) [near.units, near.groups] = [near.units + group.length, near.groups + 1];
      else places.push({ left, top, units: group.length, groups: 1 });
    }
    for (const { left, top, units, groups } of places) {
      pen.fillStyle = colour(groups > 1 || units === 1 ? "--lab-3" : "--lab-1");
      pen.beginPath();
      pen.arc(left, top, 4 + Math.log2(units), 0, 7);
      pen.fill();
      if (units === 1) continue;
      pen.fillStyle = colour(INK);
      const text = groups === 1 ? `×${units}` : `${units} here, ${groups} different`;
      pen.fillText(text, Math.min(left + 12, side - pen.measureText(text).width - 4), top - 8);
    }
  };

  const clear = () => {
    Object.values(charts).forEach((chart) => chart.destroy());
    charts = {};
  };

  const draftCharts = () => {
    clear();
    const axis = (more) => ({
      stroke: () => colour(INK),
      grid: { stroke: () => colour("--lab-grid"), width: 1 },
      ticks: { show: false },
      ...more,
    });
    const draft = (name, lines, range, y) => {
      const series = lines.map(([label, [stroke, dash]]) => ({
        label,
        stroke: () => colour(stroke),
        dash,
        width: 2,
        points: { show: () => record.length < 2 },
      }));
      const options = {
        width: part(name).clientWidth,
        height: 200,
        cursor: { show: false },
        legend: { live: false, markers: { width: 3, dash: (_, i) => lines[i - 1]?.[1][2] } },
        scales: { x: { time: false, range: () => [0, Math.max(1, step())] }, y: { range } },
        axes: [axis({ size: 30 }), axis({ size: 56, ...y })],
        series: [{ label: "step" }, ...series],
      };
      charts[name] = new tools.uPlot(options, [[], ...lines.map(() => [])], part(name));
    };
    const values = (_, marks) => marks.map(tick);
    draft("loss", [["loss", LOOKS.loss], ["H(p)", LOOKS.bound]], () => [0, top], { values });
    const looks = [...LOOKS.layers.slice(0, settings.depth), LOOKS.output];
    const layers = looks.map((look, i) => [layerName(i), look]);
    draft("norms", layers, () => [powers.low - 0.3, powers.high + 0.3], {
      splits: () => powers.marks,
      values: (_, marks) => marks.map((mark) => (mark === powers.foot ? "0" : `${powers.below(mark)}10${raised(mark)}`)),
    });
  };
  const raised = (power) => String(power).replace(/./g, (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]);

  let top = 1; // of the axis of the loss

  // Powers of ten from the lowest to the highest norm; exact zeros have the line at the foot.
  let powers = { low: -1, high: 0, marks: [-1, 0], below: () => "" };
  const span = (norms) => {
    const found = norms.flat().filter(Number.isFinite);
    const logs = found.filter(Boolean).map(power);
    const lowest = Math.floor(logs.reduce((a, b) => Math.min(a, b), logs.length ? Infinity : -1));
    const high = Math.ceil(logs.reduce((a, b) => Math.max(a, b), lowest + 1));
    const every = Math.ceil((high - lowest) / 6);
    const foot = found.length > logs.length ? lowest - every : null;
    const marks = list(Math.floor((high - lowest) / every) + 1, (i) => lowest + i * every);
    const below = (mark) => (mark === LEAST && found.some((norm) => norm && norm < 10 ** LEAST) ? "≤" : "");
    return { foot, low: foot ?? lowest, high, marks: foot === null ? marks : [foot, ...marks], below };
  };
  const power = (norm) => Math.max(LEAST, Math.log10(norm));

  const drawCharts = () => {
    if (!machine || !record.length) return;
    const every = Math.ceil(record.length / 500);
    const steps = list(Math.ceil(record.length / every), (i) => i * every);
    if (steps.at(-1) !== step()) steps.push(step());
    const bound = entropy();
    const drawn = (value) => (Number.isFinite(value) ? value : null);
    const losses = steps.map((at) => drawn(loss(at)));
    const most = losses.reduce((a, b) => Math.max(a, b), bound);
    const limit = 3 * Math.max(losses[0], bound);
    part("cut").textContent = most > limit ? `, drawn up to ${short(limit)}` : "";
    top = Math.min(1.08 * most, limit);
    charts.loss.setData([steps, losses, steps.map(() => bound)]);
    const norms = steps.map((at) => layerNorms(at));
    powers = span(norms);
    const heights = norms.map((row) => row.map((norm) => (norm ? drawn(power(norm)) : powers.foot)));
    charts.norms.setData([steps, ...norms[0].map((_, layer) => heights.map((row) => row[layer]))]);
  };

  // What the reader does --------------------------------------------------------------------------

  form.addEventListener("change", ({ target }) => {
    if (target.name === "class") return;
    const given = Object.fromEntries(NAMES.map((name) => [name, field(name).value]));
    if (target.name === "start") delete given.size;
    const chosen = choose(given);
    if (target.name === "steps") [settings.steps, target.value] = [chosen.steps, chosen.steps];
    else take(chosen);
    write();
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
    const link = location.href.split("#")[0] + fragment(step() || settings.steps);
    const copied = await navigator.clipboard?.writeText(link).then(() => true, () => false);
    const done = "Link copied: opened, it brings this state back when Train is pressed.";
    say(copied ? done : `The link of this state is ${link}`);
  });

  const replace = (points) => {
    own = points;
    notes = own.length > MOST ? [`${MOST} points are the most: the last one is left out.`] : [];
    own.length = Math.min(own.length, MOST);
    reset();
    write();
  };
  const round = (value) => Number(Math.max(-REACH, Math.min(REACH, value)).toFixed(2));
  const place = () => replace([...own, [...cross, Number(field("class").value)]]);
  const answer = part("answer");
  answer.addEventListener("click", ({ offsetX, offsetY }) => {
    if (settings.data !== "own") return;
    const from = (pixels) => round((2 * pixels / answer.clientWidth - 1) * REACH);
    cross = [from(offsetX), -from(offsetY)];
    place();
  });
  const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  answer.addEventListener("keydown", (event) => {
    if (settings.data !== "own") return;
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

  addEventListener("hashchange", () => location.hash.includes("=") && fromLink());
  const redraw = () => {
    if (machine) draftCharts();
    next = 0;
    show(Boolean(running));
  };
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });

  // What tests ask.
  lab.lab = {
    state: () => ({
      settings: { ...settings },
      step: step(),
      losses: list(record.length, (at) => loss(at)),
      norms: list(record.length, (at) => layerNorms(at)),
      distinct: machine ? distinct() : null,
      parted,
      left,
      entropy: entropy(),
      sentence: part("says").textContent,
    }),
    parameters: () => machine.parameters.map((array) => [...array]),
    step: async (arrays) => (await machine.from(arrays)).map((array) => [...array]),
  };

  for (const element of document.querySelectorAll(".lab-without")) element.hidden = true;
  lab.hidden = false;
  fromLink();
  fetchOffered().then(reset, fail);
  new ResizeObserver(redraw).observe(part("plots"));
})();
