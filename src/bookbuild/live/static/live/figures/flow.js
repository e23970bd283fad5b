// An all-zero network of three units: the signal of a point on its way up, the gradient on its way down.

live.figure("flow", (figure) => {
  const WIDTHS = [2, 3, 2];
  const NAMES = {
    relu: "ReLU", leaky_relu: "leaky ReLU", tanh: "tanh", gelu: "GELU", silu: "SiLU",
    elu: "ELU", identity: phrase("identity"), sigmoid: "sigmoid", softplus: "softplus",
  };
  const PLACES = [[0.5, 0.66, 0.34, 0.34, 0.66, 0.5], [0.5, 0.62, 0.34, 0.34, 0.62, 0.5]]; // of numbers on wires
  const data = live.points(live.numbers.halfPlane);
  let activation, network, steps;

  const written = (value) => {
    if (Math.abs(value) >= 0.005) return value.toFixed(2);
    return value && Math.abs(value) < 0.0005 ? value.toExponential(0) : String(Number(value.toPrecision(1)));
  };

  // The network with a number or a word in every unit and a number on every wire. Zeros are crossed out.
  const diagram = (axes, title, rows, wires) => {
    axes.clear();
    axes.scale([-1.2, 1.2], [-0.3, 2.3]);
    const place = (l, i) => [axes.x(i - (WIDTHS[l] - 1) / 2), axes.y(l)];
    const texts = [];
    wires.forEach((wire, l) =>
      wire.forEach((value, k) => {
        const [low, high] = [place(l, k % WIDTHS[l]), place(l + 1, Math.floor(k / WIDTHS[l]))];
        axes.line(low, high, value ? "tied" : "zeros", "live-wire");
        const middle = low.map((from, i) => from + PLACES[l][k] * (high[i] - from));
        texts.push([middle, value ? written(value) : "×", value ? "" : "zeros"]);
      }),
    );
    rows.forEach((row, l) =>
      row.forEach((held, i) => {
        const [cx, cy] = place(l, i);
        axes.add("circle", { cx, cy, r: 23, class: "live-unit", "data-kind": held === 0 ? "zeros" : l === 1 ? "tied" : "" });
        texts.push([[cx, cy], typeof held === "string" ? held : written(held), held === 0 ? "zeros" : ""]);
      }),
    );
    for (const [[x, y], words, kind] of texts) {
      axes.text(x, y + 4, words, { "text-anchor": "middle", "data-kind": kind });
    }
    axes.text(2, 14, title);
  };

  const show = () => {
    const { gradients } = network.evaluate(data);
    const [W1, b1, W2, b2] = gradients;
    network.forward(data.x[0]);
    const carried = [0, 1].map((l) =>
      network.parameters[2 * l].map((weight, k) => weight * network.h[l][k % WIDTHS[l]]),
    );
    diagram(up, phrase("up: the signal"), network.h.map((row) => [...row]), carried);
    diagram(down, phrase("down: the gradient"), [["x₁", "x₂"], [...b1], [...b2]], [W1, W2]);
    const all = gradients.flatMap((part) => [...part]);
    const zero = all.filter((value) => value === 0).length;
    const [first, last] = [W1, W2].map((part) => part.some((value) => value !== 0));
    const [w1, c1, w2] = network.parameters;
    const units = [0, 1, 2].map((i) => String([w1[2 * i], w1[2 * i + 1], c1[i], w2[i], w2[3 + i]]));
    const state = first
      ? units.every((unit) => unit === units[0])
        ? phrase("The gradient reaches every layer; the three units are equal to the last bit.")
        : phrase("The gradient reaches every layer; the three units are different.")
      : last
        ? phrase("The gradient reaches the last weights, but not yet the first.")
        : phrase("No weight has a gradient: the network is dead.");
    const values = { name: NAMES[activation], steps, zero, all: all.length, state };
    figure.say(phrase("{name}, step {steps}: {zero} of {all} gradients are exactly 0. {state}", values));
  };

  const reset = () => {
    network = new live.Network(WIDTHS, activation);
    steps = 0;
    show();
  };
  const step = () => {
    network.step(network.evaluate(data).gradients, { lr: 0.5 });
    steps++;
    show();
  };
  const choose = (name) => {
    activation = name;
    reset();
  };

  const size = { width: 280, height: 250, left: 4, right: 4, top: 24, bottom: 4 };
  const up = figure.axes(phrase("The network, with what each unit and each wire holds of the first point."), size);
  const told = phrase("The network, with the gradient of each weight on its wire, of each bias in its unit.");
  const down = figure.axes(told, size);
  figure.legend(phrase("A network that starts all-zero"));
  figure.menu(phrase("Activation"), NAMES, choose);
  figure.button(phrase("Step"), step);
  figure.button(phrase("Reset"), reset);
  choose("relu");
});
