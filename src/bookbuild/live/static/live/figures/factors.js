// B tanh(Ax) with one factor zero at the start, or both, or none.

live.figure("factors", (figure) => {
  const STEPS = 40;
  const KINDS = { "A = 0": "one", "B = 0": "other", "A = B = 0": "zeros", "no zero": "random" };
  const named = (name) => (name === "no zero" ? phrase("no zero") : name);
  const plot = figure.plot(phrase("The loss by step."));
  const axes = live.tileAxes(figure, 140);
  const runs = {};

  const draw = () => {
    plot.clear();
    plot.scale([0, STEPS], [0, 1]);
    plot.frame([[0, 0], [20, 20], [40, 40]], [[0, 0], [1, 1]], phrase("step"), phrase("loss (nats)"));
    for (const name in runs) plot.curve([...runs[name].entries()], KINDS[name], named(name));
    plot.nameCurves();
  };

  const train = (name) => {
    const zeros = [0, 2].filter((i) => name.includes("A B"[i]));
    const { losses, sizes } = live.follow([2, 16, 2], "tanh", { steps: STEPS, zeros, fixed: [1, 3] });
    runs[name] = losses;
    draw();
    const both = [sizes[0], sizes[2]];
    live.tiles(axes, ["A", "B"], both, 6);
    const [a, b] = both.map((row) => row.findIndex(Boolean) + 1);
    const [before, after] = [losses[0], losses.at(-1)].map((loss) => loss.toFixed(3));
    const values = { name: named(name), a, b, steps: STEPS, before, after };
    figure.say(
      a
        ? phrase("{name}: A first moves at step {a}, B at step {b}. The loss goes from {before} to {after}.", values)
        : phrase("{name}: neither moves in {steps} steps. The loss goes from {before} to {after}.", values),
    );
  };

  figure.legend(phrase("Train B tanh(Ax) with"));
  for (const name in KINDS) figure.button(named(name), () => train(name));
  draw();
});
