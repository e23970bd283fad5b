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
    starts: { [phrase("Zero")]: [0, 0], [phrase("Elsewhere")]: [1.5, -2] },
    decorate(axes) {
      axes.line([axes.x(-3), axes.y(3)], [axes.x(3), axes.y(0)], "limit");
      axes.add("circle", { cx: axes.x(0), cy: axes.y(0), r: axes.x(least) - axes.x(0), class: "live-line", "data-kind": "path" });
      axes.text(axes.x(-2), axes.y(2.65), phrase("all solutions"));
      axes.text(axes.x(0), axes.y(-least) + 14, phrase("least norm"), { "text-anchor": "middle" });
    },
    kind: ([start]) => (start.some((weight) => weight) ? "random" : "zeros"),
    tell(path) {
      const norm = Math.hypot(...path.at(-1));
      const [from, to] = [live.place(names, path[0], 1), live.place(names, path.at(-1), 3)];
      const loss = evaluate(path.at(-1)).loss.toFixed(3);
      const values = { from, to, loss, norm: norm.toFixed(3), least: least.toFixed(3) };
      return norm - least < 1e-4
        ? phrase(
            "From {from} the path ends at the solution {to}: its loss is {loss} and its norm {norm}. " +
              "No solution has a smaller norm.",
            values,
          )
        : phrase(
            "From {from} the path ends at the solution {to}: its loss is {loss} and its norm {norm}. " +
              "The least norm of a solution is {least}.",
            values,
          );
    },
  };
  const least = Math.hypot(...live.descend(model, [0, 0]).at(-1));
  live.surface(figure, model);
});
