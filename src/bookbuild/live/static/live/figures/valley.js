// The loss of one equation in two unknowns, w₁ + 2 w₂ = 3, and paths of descent on it.

live.figure("valley", (figure) => {
  const names = ["w₁", "w₂"];

  const evaluate = ([w1, w2]) => {
    const error = w1 + 2 * w2 - 3;
    return { loss: error ** 2, gradient: [2 * error, 4 * error] };
  };

  const model = {
    names, evaluate,
    lr: 0.02,
    steps: 60,
    reach: 3,
    levels: Array.from({ length: 12 }, (_, k) => (k + 0.5) ** 2),
    starts: { Zero: [0, 0], Elsewhere: [1.5, -2] },
    decorate(axes) {
      axes.line([axes.x(-3), axes.y(3)], [axes.x(3), axes.y(0)], "limit");
      axes.add("circle", { cx: axes.x(0), cy: axes.y(0), r: axes.x(least) - axes.x(0), class: "live-line", "data-kind": "path" });
      axes.text(axes.x(-2), axes.y(2.65), "all solutions");
      axes.text(axes.x(0), axes.y(-least) + 14, "least norm", { "text-anchor": "middle" });
    },
    kind: ([start]) => (start.some((weight) => weight) ? "random" : "zeros"),
    tell(path) {
      const norm = Math.hypot(...path.at(-1));
      return (
        `From ${live.place(names, path[0], 1)} the path ends at the solution ${live.place(names, path.at(-1), 3)}: ` +
        `its loss is ${evaluate(path.at(-1)).loss.toFixed(3)} and its norm ${norm.toFixed(3)}. ` +
        (norm - least < 1e-4 ? "No solution has a smaller norm." : `The least norm of a solution is ${least.toFixed(3)}.`)
      );
    },
  };
  const least = Math.hypot(...live.descend(model, [0, 0]).at(-1));
  live.surface(figure, model);
});
