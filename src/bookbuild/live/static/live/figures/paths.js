// The loss of the network v tanh(wx) on a piece of the sine curve, and paths of descent on it.

live.figure("paths", (figure) => {
  const names = ["w", "v"];
  const points = Array.from({ length: 9 }, (_, k) => k / 2 - 2);

  const evaluate = ([w, v]) => {
    let loss = 0;
    const gradient = [0, 0];
    for (const x of points) {
      const h = Math.tanh(w * x);
      const error = v * h - Math.sin(x);
      loss += error ** 2 / points.length;
      gradient[0] += (2 * error * v * (1 - h * h) * x) / points.length;
      gradient[1] += (2 * error * h) / points.length;
    }
    return { loss, gradient };
  };

  live.surface(figure, {
    names, evaluate,
    lr: 0.1,
    steps: 500,
    reach: 2.4,
    levels: Array.from({ length: 14 }, (_, k) => 2 ** (k / 2 - 4)),
    starts: { [phrase("Zero")]: [0, 0], A: [0.7, -0.9], B: [0.8, -0.9] },
    decorate(axes) {
      const [valley, pass] = [phrase("valley"), phrase("pass")];
      for (const [x, y, words] of [[1.1, 1.6, valley], [0, 0.25, pass], [-1.1, -1.7, valley]]) {
        axes.text(axes.x(x), axes.y(y), words, { "text-anchor": "middle" });
      }
    },
    kind: (path) => ({ 1: "one", "-1": "other", 0: "zeros" })[Math.sign(path.at(-1)[0])],
    tell(path) {
      const [before, after] = [path[0], path.at(-1)].map((weights) => evaluate(weights).loss.toFixed(3));
      const moved = path.at(-1).some((weight, i) => weight !== path[0][i]);
      const values = { from: live.place(names, path[0], 1), to: live.place(names, path.at(-1), 2), before, after };
      if (!moved) {
        return phrase(
          "From {from} the path ends on the pass, where it began: " +
            "the gradient is exactly zero, and the loss stays {before}.",
          values,
        );
      }
      return {
        1: phrase(
          "From {from} the path ends in the upper right valley, at {to}: the loss has come from {before} to {after}.",
          values,
        ),
        "-1": phrase(
          "From {from} the path ends in the lower left valley, at {to}: the loss has come from {before} to {after}.",
          values,
        ),
        0: phrase(
          "From {from} the path ends on the pass, at {to}: the loss has come from {before} to {after}.",
          values,
        ),
      }[Math.sign(path.at(-1)[0])];
    },
  });
});
