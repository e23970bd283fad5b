// Three twins, and a fourth that is pulled away from them: by which step do they part?

live.figure("twins", (figure) => {
  const STEPS = 450;
  const RULE = { steps: STEPS, lr: 1.5, decay: 0.01 };
  const [NOT, APART] = [9, 0.1];
  const data = live.points(live.numbers.xor);
  const name = (k) => (k === NOT ? phrase("not at all") : phrase("by {size}", { size: live.power(-k) }));

  const pull = (k) => {
    const network = new live.Network([2, 4, 2], "tanh").draw(live.generator(0)).tie();
    const weight = network.parameters[0];
    if (k < NOT) weight[0] += 10 ** -k;
    const [paths, gaps] = [[], []];
    network.train(data, RULE, () => {
      paths.push(weight.slice());
      gaps.push(Math.hypot(weight[0] - weight[2], weight[1] - weight[3]));
    });
    const step = gaps.findIndex((gap) => gap > APART);
    draw(paths, gaps, step);
    const values = { size: live.power(-k), step, steps: STEPS, gap: gaps.at(-1) };
    figure.say(
      k === NOT
        ? phrase("Not pulled: after {steps} steps the distance of the four units is {gap}: they are one mark.", values)
        : phrase(
            "Pulled by {size}: the unit is more than a tenth away from its twins from step {step} on. " +
              "The other three are still one mark at step {steps}.",
            values,
          ),
    );
  };

  const plot = figure.plot(phrase("The distance between the unit and its twins, by step, on a logarithmic axis."));
  const plane = figure.plane(phrase("The four units as marks in the plane of their two weights, with their paths."));
  const draw = (paths, gaps, step) => {
    plot.clear();
    plot.scale([0, STEPS], [-9, 1]);
    const decades = [-8, -6, -4, -2, 0].map((y) => [y, live.power(y)]);
    const steps = [0, 200, 400].map((x) => [x, x]);
    plot.frame(steps, decades, phrase("step"), phrase("distance of the unit from its twins"));
    plot.curve([[0, Math.log10(APART)], [STEPS, Math.log10(APART)]], "limit", phrase("a tenth"));
    const points = gaps.map((gap, x) => [x, gap ? Math.log10(gap) : -9]);
    plot.curve(points, "tied", gaps.at(-1) ? phrase("the unit") : phrase("exactly 0"));
    if (step >= 0) plot.mark(points[step], "tied");
    const when = phrase("step {step}", { step });
    if (step >= 0) plot.text(plot.x(step), plot.y(points[step][1]) - 10, when, { "text-anchor": "middle" });
    plot.nameCurves();
    plane.clear();
    live.scalePlane(plane, Math.ceil(11 * Math.max(...paths.map((row) => Math.max(...row.map(Math.abs))))) / 10);
    for (const i of [2, 0]) plane.curve(paths.map((row) => [row[i], row[i + 1]]), "path");
    plane.units(paths.at(-1), "tied");
  };

  figure.legend(phrase("Four equal units"));
  figure.slider(phrase("Pull one of them away"), { min: 2, max: NOT, value: 3 }, name, pull);
});
