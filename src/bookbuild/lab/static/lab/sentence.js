// The lab's sentence on its state, and the text of each drawing. Nothing here uses the DOM.
//
// A state is {settings, labels, run, network, layer, loading, failure}:
//   labels   the classes of the points
//   run      a Run of run.js
//   network  {distinct, gap, moves} of the network at this step, null until it is there: the number of
//            different units of each layer; the largest difference between units of the first; and
//            moves(count), whether the next step changes one of the first `count` parameters (of all,
//            without an argument)
//   layer    the hidden layer that is drawn, from 0
//   loading  whether the engine is being loaded
//   failure  a sentence if it did not load, else ""

import { trainable } from "./run.js";

// A number with four digits, as text.
export const short = (value) => String(Number(value.toPrecision(4)));
// The same where there is little room, as on an axis.
export const tick = (value) => {
  const plain = !value || (Math.abs(value) < 1e4 && Math.abs(value) >= 1e-3);
  return plain ? short(value) : Number(value.toPrecision(2)).toExponential().replace("+", "");
};
export const layerName = (i, depth) => (i < depth ? phrase("layer {number}", { number: i + 1 }) : phrase("output"));
// Sentences as one text; those that are "" are left out.
export const together = (...sentences) =>
  sentences.filter(Boolean).reduce((before, after) => phrase("{before} {after}", { before, after }));

const plateau = ({ escaped }) =>
  escaped ? phrase("It was first below nine tenths of H(p) at step {step}.", { step: escaped }) : "";

// The sentence where all units differ: it compares the loss with H(p).
const compared = (run) => {
  const [loss, bound] = [run.loss(), run.entropy].map(short);
  const below = +loss < +bound;
  const values = { loss, bound };
  if (!run.step) {
    return below
      ? phrase("Before training: all units differ; the loss is {loss}, already below H(p) = {bound}.", values)
      : phrase("Before training: all units differ; the loss is {loss}, not below H(p) = {bound}.", values);
  }
  const said = below
    ? phrase("Learning: the loss is {loss}, below H(p) = {bound}, which no constant output can beat.", values)
    : phrase("All units differ; the loss, {loss}, is not below H(p) = {bound}.", values);
  return together(said, plateau(run));
};

// The sentence where every gradient is zero, but perhaps that of the output bias.
const still = (run, network) => {
  const { norms } = run.report;
  const [loss, bound] = [run.loss(), run.entropy].map(short);
  const bias = norms.at(-1);
  if (network.moves(norms.length - (bias ? 1 : 0))) {
    return bias
      ? phrase(
          "Momentum alone: every gradient but that of the output bias is exactly zero; " +
            "the next step still follows earlier gradients.",
        )
      : phrase("Momentum alone: every gradient is exactly zero; the next step still follows earlier gradients.");
  }
  if (!bias) return phrase("At rest: every gradient is exactly zero, so nothing moves.");
  const dead = network.moves()
    ? phrase("Dead: only the output bias has a gradient, so only it moves.")
    : phrase("Dead, and arrived: only the output bias has a gradient, too small to move it.");
  const rest =
    +loss > +bound
      ? phrase("The loss is {loss}; it can fall to H(p) = {bound} and no further.", { loss, bound })
      : phrase("The loss has fallen to H(p) = {bound}, as far as it can.", { bound });
  return together(dead, rest);
};

// The first sentence that is true, in the order of the table on the lab's page.
export const sentence = ({ settings, labels, run, network, loading, failure }) => {
  if (settings.data === "own" && !trainable(labels)) {
    if (!labels.length) {
      return phrase(
        "There is nothing to tell apart yet: place points of both classes in the square of the network’s answer.",
      );
    }
    return phrase(
      "There is nothing to tell apart yet: place a point of class {lacking} in the square of the network’s answer.",
      { lacking: labels[0] ? "A" : "B" },
    );
  }
  if (failure) return failure;
  if (!network && loading) return phrase("Loading what runs the training: about 4 MB, once.");
  if (!network) return phrase("Nothing is trained yet. Train and Step load what runs it: about 4 MB, once.");
  if (run.diverged !== null) {
    const values = { step: run.diverged };
    return phrase("Diverged at step {step}: the loss is not finite. Try a smaller learning rate.", values);
  }
  if (!run.report.norms.slice(0, -1).some(Boolean)) return still(run, network);
  const { width, start } = settings;
  const collapsed = network.distinct.flatMap((count, i) => (count < width ? [{ width, layer: i + 1, count }] : []));
  const values = { loss: short(run.loss()), bound: short(run.entropy), gap: short(network.gap), step: run.parted };
  const bound = together(phrase("The loss is {loss}, and H(p) = {bound}.", values), plateau(run));
  if (collapsed.length) {
    const [first, ...others] = collapsed;
    const units = others
      .map((layer) => phrase("those of layer {layer} act as {count}", layer))
      .reduce(
        (before, after) => phrase("{before}, {after}", { before, after }),
        phrase("the {width} units of layer {layer} act as {count}", first),
      );
    return together(phrase("Collapsed: {units}.", { units }), bound);
  }
  if (start !== "tied") return compared(run);
  if (run.parted !== null) {
    const said = phrase(
      "Came apart at step {step}: there the units of layer 1 first differed by more than a tenth.",
      values,
    );
    return together(said, compared(run));
  }
  return together(phrase("Nearly collapsed: the units of layer 1 differ by {gap} at most.", values), bound);
};

// The text of each drawing, by its name, for screen readers.
export const descriptions = ({ settings, labels, run, network, layer }) => {
  const correct = (label, i) => run.report.logits[2 * i + 1] > run.report.logits[2 * i] === Boolean(label);
  const right = network ? labels.filter(correct).length : 0;
  const answer = together(
    phrase("The network’s answer and {count} points, of class A ● or class B ■.", { count: labels.length }),
    network && phrase("It classifies {right} of them correctly.", { right }),
  );
  const empty = phrase("Empty: nothing is trained yet.");
  if (!network) return { answer, loss: empty, norms: empty, signals: empty, units: empty };
  const [began, now, bound] = [run.loss(0), run.loss(), run.entropy].map(short);
  const comma = phrase(", ");
  const byLayer = (numbers) => numbers.map((x, i) => `${layerName(i, settings.depth)} ${short(x)}`).join(comma);
  const norms = byLayer(run.norms());
  const signals = byLayer(run.signals());
  const times = run.signals().at(-1) / run.signals()[0];
  return {
    answer,
    loss: phrase(
      "Loss by step, 0 to {step}: it began at {began} and is {now}. A line marks H(p) = {bound}.",
      { step: run.step, began, now, bound },
    ),
    norms: phrase("Gradient norm of each layer by step, now: {norms}.", { norms }),
    signals: Number.isFinite(times)
      ? phrase(
          "Mean square of each layer’s output, now: {signals}; " +
            "from layer 1 to the output it is multiplied by {times}.",
          { signals, times: short(times) },
        )
      : phrase("Mean square of each layer’s output, now: {signals}.", { signals }),
    units: phrase(
      "The {width} units of hidden layer {layer}, each a dot at two of its weights: {distinct} different.",
      { width: settings.width, layer: layer + 1, distinct: network.distinct[layer] },
    ),
  };
};
