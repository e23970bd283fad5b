// A network of four layers; a reader chooses which start at zero, and sees which gradients are zero, by step.

live.figure("zeros", (figure) => {
  const STEPS = 6;
  const NAMES = { relu: "ReLU", tanh: "tanh", gelu: "GELU", sigmoid: "sigmoid", softplus: "softplus" };
  const PARAMETERS = ["W¹", "b¹", "W²", "b²", "W³", "b³", "W⁴", "b⁴"];
  const zero = [true, true, true, true];
  let activation = "relu";

  const list = (words) => {
    if (words.length < 2) return String(words);
    const comma = phrase(", ");
    return phrase("{others} and {last}", { others: words.slice(0, -1).join(comma), last: words.at(-1) });
  };

  const layers = () => {
    const numbers = [1, 2, 3, 4].filter((layer) => zero[layer - 1]);
    const values = { name: NAMES[activation], layers: list(numbers) };
    if (numbers.length === 0) return phrase("No layer is zero, with {name}.", values);
    if (numbers.length === 1) return phrase("Layer {layers} is zero, with {name}.", values);
    if (numbers.length < 4) return phrase("Layers {layers} are zero, with {name}.", values);
    return phrase("All layers are zero, with {name}.", values);
  };
  const first = (found) => {
    const values = { list: list(found) };
    if (found.length === 8) return phrase("At step 1 every parameter has a gradient.");
    if (found.length === 1) return phrase("At step 1 only {list} has a gradient.", values);
    return phrase("At step 1 only {list} have a gradient.", values);
  };
  const never = (found) => {
    const values = { steps: STEPS, list: list(found) };
    if (found.length === 0) return phrase("In {steps} steps every parameter has one.", values);
    if (found.length === 1) return phrase("In {steps} steps {list} has none.", values);
    return phrase("In {steps} steps {list} have none.", values);
  };

  const show = () => {
    const zeros = [...PARAMETERS.keys()].filter((i) => i % 2 || zero[i >> 1]);
    const { sizes } = live.follow([2, 8, 8, 8, 2], activation, { steps: STEPS, zeros });
    live.tiles(axes, PARAMETERS.map((name, i) => (zeros.includes(i) ? `${name} = 0` : name)), sizes, STEPS);
    const begun = PARAMETERS.filter((_, i) => sizes[i][0]);
    const none = PARAMETERS.filter((_, i) => !sizes[i].slice(0, STEPS).some((size) => size));
    const sentences = [layers(), first(begun), never(none)];
    figure.say(sentences.reduce((before, after) => phrase("{before} {after}", { before, after })));
  };

  const axes = live.tileAxes(figure, 230);
  figure.legend(phrase("How each layer starts"));
  zero.forEach((_, i) => {
    const words = () => `${PARAMETERS[2 * i]}: ${zero[i] ? phrase("zero") : phrase("random")}`;
    const button = figure.button(words(), () => {
      zero[i] = !zero[i];
      button.textContent = words();
      show();
    });
  });
  figure.menu(phrase("Activation"), NAMES, (name) => {
    activation = name;
    show();
  });
  show();
});
