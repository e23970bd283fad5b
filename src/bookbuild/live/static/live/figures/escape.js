// The steps until twins leave their point of rest, by how far they are pushed, beside the escape law.

live.figure("escape", (figure) => {
  const RULE = { lr: 1.5, decay: 0.01 };
  const LAST = 12;
  const { rest, direction, lowest } = live.numbers.escape;
  const decade = Math.LN10 / Math.log1p(-RULE.lr * lowest);
  const data = live.points(live.numbers.xor);

  const pushed = (size) => {
    const network = new live.Network([2, 4, 2], "tanh");
    let i = 0;
    for (const parameter of network.parameters) {
      parameter.forEach((_, k) => (parameter[k] = rest[i] + size * direction[i++]));
    }
    return network;
  };
  const level = 0.8 * pushed(0).evaluate(data).loss;

  const wait = (k) => {
    const network = pushed(10 ** -k);
    for (let step = 0; ; step++) {
      const { loss, gradients } = network.evaluate(data);
      if (loss < level) return step;
      network.step(gradients, RULE);
    }
  };
  const waits = new Map([[1, wait(1)]]);
  const law = (k) => waits.get(1) + decade * (k - 1);

  const plot = figure.plot("Steps until the twins leave their point of rest, by the size of the push, and the line of the law.");
  const draw = () => {
    plot.clear();
    plot.scale([0.5, LAST], [0, 1000]);
    const sizes = [1, 4, 7, 10].map((k) => [k, live.power(-k)]);
    plot.frame(sizes, [0, 500, 1000].map((y) => [y, y]), "size ε of the push", "steps until they leave");
    plot.curve([[1, law(1)], [LAST, law(LAST)]], "limit", "law");
    for (const [k, steps] of waits) plot.mark([k, steps], "tied");
    plot.nameCurves();
  };

  figure.legend("Four twins at rest");
  figure.slider("Push them away by ε =", { min: 1, max: LAST, value: 1 }, (k) => live.power(-k), (k) => {
    waits.set(k, wait(k));
    draw();
    figure.say(
      `ε = ${live.power(-k)}: the twins leave at step ${waits.get(k)}; ` +
        `the law’s line, drawn through the mark of ${live.power(-1)}, is at ${law(k).toFixed(1)}. ` +
        `An ε ten times smaller takes ${decade.toFixed(1)} steps more.`,
    );
  });
});
