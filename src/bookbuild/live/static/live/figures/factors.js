// B tanh(Ax) with one factor zero at the start, or both, or none.

live.figure("factors", (figure) => {
  const STEPS = 40;
  const KINDS = { "A = 0": "one", "B = 0": "other", "A = B = 0": "zeros", "no zero": "random" };
  const plot = figure.plot("The loss by step.");
  const axes = live.tileAxes(figure, 140);
  const runs = {};

  const draw = () => {
    plot.clear();
    plot.scale([0, STEPS], [0, 1]);
    plot.frame([[0, 0], [20, 20], [40, 40]], [[0, 0], [1, 1]], "step", "loss (nats)");
    for (const name in runs) plot.curve([...runs[name].entries()], KINDS[name], name);
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
    figure.say(
      `${name}: ${a ? `A first moves at step ${a}, B at step ${b}` : `neither moves in ${STEPS} steps`}. ` +
        `The loss goes from ${losses[0].toFixed(3)} to ${losses.at(-1).toFixed(3)}.`,
    );
  };

  figure.legend("Train B tanh(Ax) with");
  for (const name in KINDS) figure.button(name, () => train(name));
  draw();
});
