// A training: its losses, gradient norms and signals by step, and the steps at which something first happened.
// Also computed here, from parameters: the twins of a layer, and how much its units differ.
// Nothing here uses the DOM.

const APART = 0.1; // units that were tied have parted when they differ by more
const PLATEAU = 0.9; // the loss has left the plateau when it is below this part of H(p)

// Whether there are points of both classes. Otherwise there is nothing to learn.
export const trainable = (labels) => labels.includes(0) && labels.includes(1);

// H(p), in nats: the entropy of the labels.
const entropy = (labels) => {
  const share = labels.reduce((a, b) => a + b, 0) / labels.length;
  return -[share, 1 - share].reduce((sum, p) => sum + p * Math.log(p), 0);
};

// Rows of numbers, in an array that doubles when it is full.
class Rows {
  length = 0;

  constructor(width) {
    this.width = width;
    this.numbers = new Float32Array(1024 * width);
  }

  push(...row) {
    if (this.numbers.length === this.length * this.width) {
      const larger = new Float32Array(2 * this.numbers.length);
      larger.set(this.numbers);
      this.numbers = larger;
    }
    this.numbers.set(row, this.width * this.length++);
  }

  at(index) {
    return [...this.numbers.subarray(this.width * index, this.width * (index + 1))];
  }
}

// A training from step 0. `parted`, `escaped` and `diverged` are the steps at which tied units parted,
// the loss left the plateau, and the loss was no longer finite; null until then.
export class Run {
  parted = null;
  escaped = null;
  diverged = null;
  listed = []; // for the table: [step, different units of each layer]

  constructor({ start, depth }, labels) {
    this.tied = start === "tied";
    this.depth = depth;
    this.entropy = entropy(labels);
    this.rows = new Rows(2 * depth + 3);
  }

  // Add a step: the engine's report at the network's parameters.
  record(report, parameters) {
    const { loss, norms, signals } = report;
    const layers = Array.from({ length: this.depth + 1 }, (_, i) => Math.hypot(norms[2 * i], norms[2 * i + 1]));
    this.report = report;
    this.rows.push(loss, ...layers, ...signals);
    const { step } = this;
    if (!Number.isFinite(loss)) this.diverged = step;
    if (this.tied && this.parted === null && gap(parameters, 0) > APART) this.parted = step;
    if (this.escaped === null && loss < PLATEAU * this.entropy) this.escaped = step;
    if ([this.escaped, this.parted].includes(step) || /^(0|[125]0*)$/.test(step)) {
      this.listed.push([step, distinct(parameters, this.depth)]);
    }
  }

  get length() {
    return this.rows.length;
  }

  get step() {
    return Math.max(0, this.length - 1);
  }

  loss(step = this.step) {
    return this.rows.at(step)[0];
  }

  // The norm of each layer's gradient.
  norms(step = this.step) {
    return this.rows.at(step).slice(1, this.depth + 2);
  }

  // The mean square of each layer's output.
  signals(step = this.step) {
    return this.rows.at(step).slice(this.depth + 2);
  }
}

// Parameters -------------------------------------------------------------------------------------

// The three pieces of the units of a hidden layer, as arrays with a number for each unit: incoming
// weights, biases, outgoing weights.
const pieces = (parameters, layer) => {
  const [weight, bias, after] = parameters.slice(2 * layer, 2 * layer + 3);
  const width = bias.length;
  const into = weight.length / width;
  return [
    ...Array.from({ length: into }, (_, i) => bias.map((_, unit) => weight[unit * into + i])),
    bias,
    ...Array.from({ length: after.length / width }, (_, i) => after.subarray(i * width, (i + 1) * width)),
  ];
};

// The groups of twins of a hidden layer: units whose three pieces are equal. A unit without a twin is
// a group of one.
export const twins = (parameters, layer) => {
  const each = pieces(parameters, layer);
  const groups = [];
  for (let unit = 0; unit < each[0].length; unit++) {
    const group = groups.find(([first]) => each.every((numbers) => numbers[first] === numbers[unit]));
    if (group) group.push(unit);
    else groups.push([unit]);
  }
  return groups;
};

// How many different units each hidden layer has.
export const distinct = (parameters, depth) =>
  Array.from({ length: depth }, (_, layer) => twins(parameters, layer).length);

// The largest difference between units of a hidden layer, in one of their numbers.
export const gap = (parameters, layer) =>
  Math.max(...pieces(parameters, layer).map((each) => Math.fround(Math.max(...each) - Math.min(...each))));
