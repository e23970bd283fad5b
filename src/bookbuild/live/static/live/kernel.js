// The network of zeroinit.networks and its training step, in float64, for figures that compute in a page.
// A classic script, as browsers load no modules for a page on disk. All scripts here share the object `live`.

globalThis.live = (() => {
  const sigmoid = (z) => 1 / (1 + Math.exp(-z));
  const density = (z) => Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);

  // The distribution function of the standard normal distribution, by its series about 0.
  const normal = (z) => {
    if (Math.abs(z) > 8) return z > 0 ? 1 : 0;
    let [sum, term] = [0, z];
    for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum); k += 2) {
      sum += term;
      term *= (z * z) / k;
    }
    return 0.5 + density(z) * sum;
  };

  // Each activation with its derivative at z, where its value is h. At a kink it is PyTorch's.
  const activations = {
    relu: [(z) => Math.max(z, 0), (z) => (z > 0 ? 1 : 0)],
    leaky_relu: [(z) => (z > 0 ? z : 0.01 * z), (z) => (z > 0 ? 1 : 0.01)],
    tanh: [Math.tanh, (z, h) => 1 - h * h],
    gelu: [(z) => z * normal(z), (z) => normal(z) + z * density(z)],
    silu: [(z) => z * sigmoid(z), (z) => sigmoid(z) * (1 + z * sigmoid(-z))],
    elu: [(z) => (z > 0 ? z : Math.expm1(z)), (z) => (z > 0 ? 1 : Math.exp(z))],
    identity: [(z) => z, () => 1],
    sigmoid: [sigmoid, (z, h) => h * sigmoid(-z)],
    softplus: [(z) => (z > 20 ? z : Math.log1p(Math.exp(z))), (z) => (z > 20 ? 1 : sigmoid(z))],
  };

  // What a point adds to a mean cross-entropy over `count` points; its derivative is written to `error`.
  const crossEntropy = (logits, label, count, error) => {
    let [largest, sum] = [-Infinity, 0];
    for (let c = 0; c < logits.length; c++) largest = Math.max(largest, logits[c]);
    for (let c = 0; c < logits.length; c++) sum += Math.exp(logits[c] - largest);
    for (let c = 0; c < logits.length; c++) {
      error[c] = (Math.exp(logits[c] - largest) / sum - (c === label ? 1 : 0)) / count;
    }
    return (largest + Math.log(sum) - logits[label]) / count;
  };

  // An all-zero network. Its parameters are W¹, b¹, W², b², ..., each matrix row by row.
  class Network {
    constructor(widths, activation) {
      this.widths = widths;
      this.parameters = widths
        .slice(1)
        .flatMap((out, l) => [new Float64Array(out * widths[l]), new Float64Array(out)]);
      [this.sigma, this.slope] = activations[activation];
      this.z = widths.map((width) => new Float64Array(width));
      this.h = widths.map((width) => new Float64Array(width));
      this.errors = widths.map((width) => new Float64Array(width));
      this.velocity = this.parameters.map((p) => new Float64Array(p.length));
    }

    // The start of torch.nn.Linear, from a function that draws numbers from 0 to 1.
    draw(random) {
      this.parameters.forEach((parameter, i) => {
        const bound = 1 / Math.sqrt(this.widths[i >> 1]);
        parameter.forEach((_, k) => (parameter[k] = bound * (2 * random() - 1)));
      });
      return this;
    }

    // Make all units of each hidden layer equal to the first.
    tie() {
      this.parameters.forEach((parameter, i) => {
        const layer = i >> 1;
        const columns = i % 2 ? 1 : this.widths[layer];
        parameter.forEach((_, k) => {
          const row = layer < this.widths.length - 2 ? 0 : Math.floor(k / columns);
          parameter[k] = parameter[row * columns + (layer && !(i % 2) ? 0 : k % columns)];
        });
      });
      return this;
    }

    // Send a point up: z and h hold what each layer computes, and h[0] the point.
    forward(point) {
      this.h[0].set(point);
      const last = this.widths.length - 1;
      for (let l = 1; l <= last; l++) {
        const weight = this.parameters[2 * l - 2];
        const bias = this.parameters[2 * l - 1];
        const below = this.h[l - 1];
        for (let i = 0; i < bias.length; i++) {
          let sum = bias[i];
          for (let j = 0; j < below.length; j++) sum += weight[i * below.length + j] * below[j];
          this.z[l][i] = sum;
          this.h[l][i] = l < last ? this.sigma(sum) : sum;
        }
      }
      return this.h[last];
    }

    // The gradient of the loss from the errors of the last layer, for the point sent up last: it is added.
    backward(gradients) {
      for (let l = this.widths.length - 1; l > 0; l--) {
        const weight = this.parameters[2 * l - 2];
        const slopes = gradients[2 * l - 2];
        const error = this.errors[l];
        const below = this.h[l - 1];
        for (let i = 0; i < error.length; i++) {
          gradients[2 * l - 1][i] += error[i];
          for (let j = 0; j < below.length; j++) slopes[i * below.length + j] += error[i] * below[j];
        }
        for (let j = 0; l > 1 && j < below.length; j++) {
          let sum = 0;
          for (let i = 0; i < error.length; i++) sum += weight[i * below.length + j] * error[i];
          this.errors[l - 1][j] = sum * this.slope(this.z[l - 1][j], below[j]);
        }
      }
    }

    // The mean loss of the points {x, y}, and its gradient: an array for each parameter.
    evaluate({ x, y }) {
      const gradients = this.parameters.map((parameter) => new Float64Array(parameter.length));
      const error = this.errors.at(-1);
      let loss = 0;
      for (let k = 0; k < x.length; k++) {
        loss += crossEntropy(this.forward(x[k]), y[k], x.length, error);
        this.backward(gradients);
      }
      return { loss, gradients };
    }

    // A step of torch.optim.SGD.
    step(gradients, { lr, momentum = 0, decay = 0 }) {
      this.parameters.forEach((parameter, i) => {
        const velocity = this.velocity[i];
        for (let k = 0; k < parameter.length; k++) {
          velocity[k] = momentum * velocity[k] + gradients[i][k] + decay * parameter[k];
          parameter[k] -= lr * velocity[k];
        }
      });
    }

    // Train for some steps; return the loss before each, and after the last. `see` is told of each of these.
    train(data, { steps, ...rule }, see = () => {}) {
      const losses = [];
      for (let step = 0; ; step++) {
        const { loss, gradients } = this.evaluate(data);
        losses.push(loss);
        see(step, gradients);
        if (step === steps) return losses;
        this.step(gradients, rule);
      }
    }
  }

  // A function that draws numbers from 0 to 1: the generator mulberry32 of Tommy Ettinger.
  const generator = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };

  // The entropy of labels, in nats.
  const entropy = (labels) => {
    const shares = [...new Set(labels)].map((c) => labels.filter((label) => label === c).length / labels.length);
    return -shares.reduce((sum, share) => sum + share * Math.log(share), 0);
  };

  // Points of single precision, from texts of as many digits as that needs.
  const points = ({ x, y }) => ({ x: x.map((point) => point.map((value) => Math.fround(value))), y });

  return { activations, Network, generator, entropy, points };
})();
