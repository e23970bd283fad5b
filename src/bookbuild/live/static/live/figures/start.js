// One network from three starts: its loss by step, and its hidden units in the plane of their weights.

live.figure("start", (figure) => {
  const STEPS = 250;
  const NAMES = { zeros: phrase("All zero"), tied: phrase("Tied"), random: phrase("Random") };
  const data = live.points(live.numbers.xor);
  const H = live.entropy(data.y);
  const random = live.generator(0);
  const runs = new Map();

  const start = (kind) => {
    const network = new live.Network([2, 16, 2], "tanh");
    if (kind !== "zeros") network.draw(random);
    return kind === "tied" ? network.tie() : network;
  };

  const train = (kind) => {
    const network = start(kind);
    const began = network.parameters.map((parameter) => parameter.slice());
    const weights = [];
    const losses = network.train(data, { steps: STEPS, lr: 0.5, momentum: 0.7 }, () =>
      weights.push(network.parameters[0].slice()),
    );
    const moved = began.map((parameter, i) => parameter.filter((value, k) => value !== network.parameters[i][k]));
    runs.set(kind, { losses, weights, moved: moved.flatMap((part) => [...part]).length });
    figure.animate(STEPS, (step) => draw(kind, step));
    figure.say(sentence(kind, network));
  };

  const sentence = (kind, network) => {
    const { losses, weights, moved } = runs.get(kind);
    const all = network.parameters.reduce((sum, parameter) => sum + parameter.length, 0);
    const rows = new Set(Array.from({ length: 16 }, (_, i) => String(weights.at(-1).slice(2 * i, 2 * i + 2))));
    const values = {
      name: NAMES[kind], steps: STEPS, loss: losses.at(-1).toFixed(3), H: H.toFixed(3), moved, all, places: rows.size,
    };
    return rows.size === 1
      ? phrase(
          "{name}: after {steps} steps the loss is {loss}, and H(p) is {H}. " +
            "Training has moved {moved} of the {all} numbers, and the 16 units are in one place.",
          values,
        )
      : phrase(
          "{name}: after {steps} steps the loss is {loss}, and H(p) is {H}. " +
            "Training has moved {moved} of the {all} numbers, and the 16 units are in {places} places.",
          values,
        );
  };

  const plot = figure.plot(phrase("The loss by step, a line for each start that was chosen."));
  const plane = figure.plane(phrase("The hidden units as marks in the plane of their two weights."));
  const draw = (current, last) => {
    const moment = (kind) => (kind === current ? last : STEPS);
    plot.clear();
    plot.scale([0, STEPS], [0, 1]);
    plot.frame([0, 100, 200].map((x) => [x, x]), [0, 0.5, 1].map((y) => [y, y]), phrase("step"), phrase("loss (nats)"));
    plot.curve([[0, H], [STEPS, H]], "limit", `H(p) ${H.toFixed(3)}`);
    plane.clear();
    const sizes = [...runs.values()].flatMap(({ weights }) => weights.map((row) => Math.max(...row.map(Math.abs))));
    live.scalePlane(plane, Math.ceil(1.1 * Math.max(0.9, ...sizes)));
    for (const [kind, { losses, weights }] of runs) {
      const shown = losses.slice(0, moment(kind) + 1);
      plot.curve(shown.map((loss, x) => [x, loss]), kind, `${NAMES[kind]} ${shown.at(-1).toFixed(3)}`);
    }
    for (const kind of ["random", "tied", "zeros"]) {
      if (runs.has(kind)) plane.units(runs.get(kind).weights[moment(kind)], kind);
    }
    plot.nameCurves();
  };

  figure.legend(phrase("Train a network that starts"));
  for (const [kind, name] of Object.entries(NAMES)) figure.button(name, () => train(kind));
  draw();
});
