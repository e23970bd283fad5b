// The engine of the lab: the book's training step, compiled from PyTorch, and the initial parameters.
// It is loaded at the first press of Train or Step, and for a link to a state. Browsers cache a failed import by URL; the retry
// query (`again=1`) of this module is therefore added to everything it imports, beside the version of the site (`v`).

const here = new URL(import.meta.url);
const version = here.searchParams.get("v");
const url = (name) => new URL(version ? `${name}?v=${version}` : name, here).href;
const moduleUrl = (name) => new URL(name + here.search, here).href;

const fetchBytes = async (name) => {
  const response = await fetch(url(name));
  if (!response.ok) throw new Error(phrase("{name} is not there", { name }));
  return response.arrayBuffer();
};

// onnxruntime-web, ready to run, and uPlot.
const load = async () => {
  const [ort, { default: uPlot }, packed] = await Promise.all([
    import(moduleUrl("ort/ort.wasm.min.mjs")),
    import(moduleUrl("uplot/uPlot.esm.js")),
    fetchBytes("ort/ort-wasm-simd-threaded.wasm.gz"),
  ]);
  // Some servers unpack a .gz file before they send it.
  const zipped = new Uint8Array(packed, 0, 2).join() === "31,139";
  const stream = () => new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  ort.env.wasm.wasmBinary = zipped ? await new Response(stream()).arrayBuffer() : packed;
  ort.env.wasm.wasmPaths = { mjs: moduleUrl("ort/ort-wasm-simd-threaded.mjs") };
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  return { ort, uPlot };
};
export const { ort, uPlot } = await load();

// Calls of the runtime wait for one another, because two at once would share its memory.
let queue = Promise.resolve();
const enqueue = (work) => (queue = queue.then(work, work));
const runGraph = (graph, feeds, outputs) => enqueue(() => graph.run(feeds, outputs));

// Each file is fetched once, and each graph is read once. After a failure the next call tries again.
const cache = new Map();
const cached = (name, make) => {
  if (!cache.has(name)) cache.set(name, fetchBytes(name).then(make));
  return cache.get(name).catch((error) => {
    cache.delete(name);
    throw error;
  });
};

// Initialization ---------------------------------------------------------------------------------

const sizes = (depth, width) => [2, ...Array(depth).fill(width), 2];

// The shapes of a network's parameters: weight and bias of each layer.
const shapes = (depth, width) =>
  sizes(depth, width)
    .slice(1)
    .flatMap((out, layer) => [[out, sizes(depth, width)[layer]], [out]]);

const count = (shape) => shape.reduce((a, b) => a * b);

// The random numbers that PyTorch drew for a network: {weights, biases}, an array for each layer.
const randomNumbers = (numbers, { depths, widths }, depth, width) => {
  let from = 0;
  for (const d of depths)
    for (const w of widths) {
      const arrays = [0, 1].map((kind) =>
        shapes(d, w)
          .filter((_, i) => i % 2 === kind)
          .map((shape) => numbers.slice(from, (from += count(shape)))),
      );
      if (d === depth && w === width) return { weights: arrays[0], biases: arrays[1] };
    }
};

// The initial parameters, as Float32Arrays: they round each number to single precision.
export const initialize = async ({ start, size, depth, width, seed }, offered) => {
  const drawn = start === "default" ? start : "draws";
  const numbers = await cached(`${drawn}-${seed}.bin`, (bytes) => new Float32Array(bytes));
  const { weights, biases } = randomNumbers(numbers, offered, depth, width);
  const last = depth;
  const value = Math.fround(size);
  const std = {
    normal: () => size,
    lecun: (layer) => Math.sqrt(1 / layer[1]),
    xavier: (layer) => Math.sqrt(2 / (layer[0] + layer[1])),
  }[start] ?? ((layer) => Math.sqrt(2 / layer[1]));

  return shapes(depth, width).map((shape, i) => {
    const layer = i >> 1;
    const z = i % 2 ? biases[layer] : weights[layer];
    if (start === "default") return z;
    if (start === "zeros" || start === "constant") return z.fill(start === "constant" ? value : 0);
    if (start === "biases") return i % 2 && layer < last ? z.map((v) => v * value) : z.fill(0);
    if (i % 2 || (start === "zero-last" && layer === last)) return z.fill(0);
    const scale = Math.fround(std(shape));
    const random = z.map((v) => v * scale);
    if (start !== "tied") return random;
    const twin = (n) => {
      const [row, column] = [layer < last ? 0 : Math.floor(n / shape[1]), layer ? 0 : n % shape[1]];
      return random[row * shape[1] + column];
    };
    return random.map((v, n) => twin(n) + Math.fround(value * Math.fround(v - twin(n))));
  });
};

// Training ----------------------------------------------------------------------------------------

// The parameters in a state. Each of its tensors holds a parameter and its two running means.
const parameters = (state) => state.slice(0, -1).map(({ data }) => data.subarray(0, data.length / 3));

// A network at a step of its training. `evaluate` gives that step's report, and computes the next state.
export class Trainer {
  static async at({ activation, depth, width, optimizer, lr }, arrays, points, offered) {
    const trainer = new Trainer();
    const open = (bytes) => enqueue(() => ort.InferenceSession.create(bytes, { logSeverityLevel: 3 }));
    trainer.graph = await cached(`graphs/${depth}.onnx`, open);
    trainer.shapes = shapes(depth, width);
    trainer.names = trainer.graph.inputNames.slice(0, -4); // of the state
    trainer.fixed = {
      ...trainer.labelled(points.x, points.y),
      settings: new ort.Tensor(Float32Array.of(lr, ...offered.optimizers[optimizer]), [6]),
      activation: new ort.Tensor(Float32Array.of(offered.activations.indexOf(activation)), []),
    };
    const withMeans = arrays.map((array) => [...array, ...new Float32Array(2 * array.length)]);
    trainer.setState([...withMeans, [0, 0]]);
    return trainer;
  }

  // The points and their labels as inputs of the graph.
  labelled(x, y) {
    const tensor = (rows) => new ort.Tensor(Float32Array.from(rows.flat()), [rows.length, 2]);
    return { x: tensor(x), y: tensor(y.map((label) => [1 - label, +label])) };
  }

  setState(arrays) {
    const dims = [...this.shapes.map((shape) => [3, ...shape]), [2]];
    this.state = arrays.map((array, i) => new ort.Tensor(Float32Array.from(array), dims[i]));
  }

  get parameters() {
    return parameters(this.state);
  }

  // Whether the next step changes one of the first `count` parameters in any bit.
  moves(count = this.shapes.length) {
    const next = parameters(this.next);
    const changes = (array, i) => array.some((value, k) => value !== next[i][k]);
    return this.parameters.slice(0, count).some(changes);
  }

  feeds(more) {
    const state = Object.fromEntries(this.names.map((name, i) => [name, this.state[i]]));
    return { ...state, ...this.fixed, ...more };
  }

  async evaluate() {
    const out = await runGraph(this.graph, this.feeds());
    this.next = this.names.map((name) => out[`${name}'`]);
    const [loss, norms, logits, signals] = ["loss", "norms", "logits", "signals"].map((name) => out[name].data);
    return { loss: loss[0], norms, logits, signals };
  }

  step() {
    this.state = this.next;
    return this.evaluate();
  }

  // The network's logits at other points.
  async logits(grid) {
    const out = await runGraph(this.graph, this.feeds(grid), ["logits"]);
    return out.logits.data;
  }

  // The graph's outputs at another state, in the graph's order.
  async outputsAt(arrays) {
    const other = Object.assign(new Trainer(), this);
    other.setState(arrays);
    const out = await runGraph(other.graph, other.feeds());
    return other.graph.outputNames.map((name) => out[name].data);
  }
}
