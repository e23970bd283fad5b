// A network of four layers; a reader chooses which start at zero, and sees which gradients are zero, by step.

live.figure("zeros", (figure) => {
  const STEPS = 6;
  const NAMES = { relu: "ReLU", tanh: "tanh", gelu: "GELU", sigmoid: "sigmoid", softplus: "softplus" };
  const PARAMETERS = ["W¹", "b¹", "W²", "b²", "W³", "b³", "W⁴", "b⁴"];
  const zero = [true, true, true, true];
  let activation = "relu";

  const list = (words) => words.join(", ").replace(/, (?=[^,]*$)/, " and ");
  const have = (words) => `${list(words)} ${words.length > 1 ? "have" : "has"}`;

  const layers = () => {
    const numbers = [1, 2, 3, 4].filter((layer) => zero[layer - 1]);
    if (numbers.length % 4 === 0) return numbers.length ? "All layers are zero" : "No layer is zero";
    return numbers.length > 1 ? `Layers ${list(numbers)} are zero` : `Layer ${numbers} is zero`;
  };

  const show = () => {
    const zeros = [...PARAMETERS.keys()].filter((i) => i % 2 || zero[i >> 1]);
    const { sizes } = live.follow([2, 8, 8, 8, 2], activation, { steps: STEPS, zeros });
    live.tiles(axes, PARAMETERS.map((name, i) => (zeros.includes(i) ? `${name} = 0` : name)), sizes, STEPS);
    const first = PARAMETERS.filter((_, i) => sizes[i][0]);
    const never = PARAMETERS.filter((_, i) => !sizes[i].slice(0, STEPS).some((size) => size));
    figure.say(
      `${layers()}, with ${NAMES[activation]}. At step 1 ` +
        (first.length < 8 ? `only ${have(first)} a gradient. ` : "every parameter has a gradient. ") +
        (never.length ? `In ${STEPS} steps ${have(never)} none.` : `In ${STEPS} steps every parameter has one.`),
    );
  };

  const axes = live.tileAxes(figure, 230);
  figure.legend("How each layer starts");
  zero.forEach((_, i) => {
    const words = () => `${PARAMETERS[2 * i]}: ${zero[i] ? "zero" : "random"}`;
    const button = figure.button(words(), () => {
      zero[i] = !zero[i];
      button.textContent = words();
      show();
    });
  });
  figure.menu("Activation", NAMES, (name) => {
    activation = name;
    show();
  });
  show();
});
