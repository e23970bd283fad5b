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
export const layerName = (i, depth) => (i < depth ? `layer ${i + 1}` : "output");

const plateau = ({ escaped }) =>
  escaped ? ` It was first below nine tenths of H(p) at step ${escaped}.` : "";

// The sentence where all units differ: it compares the loss with H(p).
const compared = (run) => {
  const [loss, bound] = [run.loss(), run.entropy].map(short);
  const below = +loss < +bound;
  if (!run.step) {
    const where = below ? "already below" : "not below";
    return `Before training: all units differ; the loss is ${loss}, ${where} H(p) = ${bound}.`;
  }
  if (!below) return `All units differ; the loss, ${loss}, is not below H(p) = ${bound}.${plateau(run)}`;
  return `Learning: the loss is ${loss}, below H(p) = ${bound}, which no constant output can beat.${plateau(run)}`;
};

// The sentence where every gradient is zero, but perhaps that of the output bias.
const still = (run, network) => {
  const { norms } = run.report;
  const [loss, bound] = [run.loss(), run.entropy].map(short);
  const bias = norms.at(-1);
  const zero = bias ? "every gradient but that of the output bias" : "every gradient";
  if (network.moves(norms.length - (bias ? 1 : 0))) {
    return `Momentum alone: ${zero} is exactly zero; the next step still follows earlier gradients.`;
  }
  if (!bias) return "At rest: every gradient is exactly zero, so nothing moves.";
  const rest =
    +loss > +bound
      ? `The loss is ${loss}; it can fall to H(p) = ${bound} and no further.`
      : `The loss has fallen to H(p) = ${bound}, as far as it can.`;
  if (network.moves()) return `Dead: only the output bias has a gradient, so only it moves. ${rest}`;
  return `Dead, and arrived: only the output bias has a gradient, too small to move it. ${rest}`;
};

// The first sentence that is true, in the order of the table on the lab's page.
export const sentence = ({ settings, labels, run, network, loading, failure }) => {
  if (settings.data === "own" && !trainable(labels)) {
    const lacks = labels.length ? `a point of class ${labels[0] ? "A" : "B"}` : "points of both classes";
    return `There is nothing to tell apart yet: place ${lacks} in the square of the network’s answer.`;
  }
  if (failure) return failure;
  if (!network && loading) return "Loading what runs the training: about 4 MB, once.";
  if (!network) return "Nothing is trained yet. Train and Step load what runs it: about 4 MB, once.";
  if (run.diverged !== null) {
    return `Diverged at step ${run.diverged}: the loss is not finite. Try a smaller learning rate.`;
  }
  if (!run.report.norms.slice(0, -1).some(Boolean)) return still(run, network);
  const { width, start } = settings;
  const collapsed = network.distinct.flatMap((k, i) => (k < width ? `of layer ${i + 1} act as ${k}` : []));
  const bound = `The loss is ${short(run.loss())}, and H(p) = ${short(run.entropy)}.${plateau(run)}`;
  if (collapsed.length) return `Collapsed: the ${width} units ${collapsed.join(", those ")}. ${bound}`;
  if (start !== "tied") return compared(run);
  if (run.parted !== null) {
    return `Came apart at step ${run.parted}: there the units of layer 1 first differed by more than a tenth. ${compared(run)}`;
  }
  return `Nearly collapsed: the units of layer 1 differ by ${short(network.gap)} at most. ${bound}`;
};

// The text of each drawing, by its name, for screen readers.
export const descriptions = ({ settings, labels, run, network, layer }) => {
  const correct = (label, i) => run.report.logits[2 * i + 1] > run.report.logits[2 * i] === Boolean(label);
  const right = network ? `It classifies ${labels.filter(correct).length} of them correctly.` : "";
  const answer = `The network’s answer and ${labels.length} points, of class A ● or class B ■. ${right}`;
  const empty = "Empty: nothing is trained yet.";
  if (!network) return { answer, loss: empty, norms: empty, signals: empty, units: empty };
  const [began, is, bound] = [run.loss(0), run.loss(), run.entropy].map(short);
  const byLayer = (numbers) => numbers.map((x, i) => `${layerName(i, settings.depth)} ${short(x)}`).join(", ");
  const times = run.signals().at(-1) / run.signals()[0];
  const factor = Number.isFinite(times) ? `; from layer 1 to the output it is multiplied by ${short(times)}` : "";
  const units = `${settings.width} units of hidden layer ${layer + 1}`;
  return {
    answer,
    loss: `Loss by step, 0 to ${run.step}: it began at ${began} and is ${is}. A line marks H(p) = ${bound}.`,
    norms: `Gradient norm of each layer by step, now: ${byLayer(run.norms())}.`,
    signals: `Mean square of each layer’s output, now: ${byLayer(run.signals())}${factor}.`,
    units: `The ${units}, each a dot at two of its weights: ${network.distinct[layer]} different.`,
  };
};
