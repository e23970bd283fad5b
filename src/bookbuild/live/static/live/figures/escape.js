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

  const told = phrase(
    "Steps until the twins leave their point of rest, by the size of the push, and the line of the law.",
  );
  const plot = figure.plot(told);
  const draw = () => {
    plot.clear();
    plot.scale([0.5, LAST], [0, 1000]);
    const sizes = [1, 4, 7, 10].map((k) => [k, live.power(-k)]);
    const counts = [0, 500, 1000].map((y) => [y, y]);
    plot.frame(sizes, counts, phrase("size ε of the push"), phrase("steps until they leave"));
    plot.curve([[1, law(1)], [LAST, law(LAST)]], "limit", phrase("law"));
    for (const [k, steps] of waits) plot.mark([k, steps], "tied");
    plot.nameCurves();
  };

  figure.legend(phrase("Four twins at rest"));
  figure.slider(phrase("Push them away by ε ="), { min: 1, max: LAST, value: 1 }, (k) => live.power(-k), (k) => {
    waits.set(k, wait(k));
    draw();
    figure.say(
      phrase(
        "ε = {size}: the twins leave at step {step}; " +
          "the law’s line, drawn through the mark of {first}, is at {law}. " +
          "An ε ten times smaller takes {more} steps more.",
        {
          size: live.power(-k),
          step: waits.get(k),
          first: live.power(-1),
          law: law(k).toFixed(1),
          more: decade.toFixed(1),
        },
      ),
    );
  });
});
