// The two line charts, drawn by uPlot: the loss, and the gradient norm of each layer. Under them a row for
// each layer, with the mean square of its output.

import { layerName, short, tick } from "./sentence.js";

const INK = "--pst-color-text-base";
const LOWEST = -12; // the lowest power of ten on the axis of norms, and of mean squares
const HIGHEST = 4; // and the highest of these
const SHOWN = 500; // the most points of a line
// Of each line the colour, the dashes, and the border style of its mark in the legend.
const LOOKS = {
  loss: ["--lab-3", [], "solid"],
  bound: [INK, [7, 4], "dashed"],
  layers: [
    ["--lab-1", [], "solid"],
    ["--lab-2", [7, 3], "dashed"],
    ["--lab-4", [2, 3], "dotted"],
    ["--lab-5", [9, 3, 2, 3], "double"],
  ],
  output: ["--lab-3", [14, 4], "dashed"],
};

const power = (norm) => Math.max(LOWEST, Math.log10(norm));
const superscript = (power) => String(power).replace(/./g, (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]);

// The axis of norms: whole powers of ten from the lowest norm to the highest. Exact zeros are drawn
// below them, at the height `foot`, which is null if there are none.
export const axis = (norms) => {
  const found = norms.flat().filter(Number.isFinite);
  const powers = found.filter(Boolean).map(power);
  const low = Math.floor(powers.reduce((a, b) => Math.min(a, b), powers.length ? Infinity : -1));
  const high = Math.ceil(powers.reduce((a, b) => Math.max(a, b), low + 1));
  const every = Math.ceil((high - low) / 6);
  const foot = found.length > powers.length ? low - every : null;
  const marks = Array.from({ length: Math.floor((high - low) / every) + 1 }, (_, i) => low + i * every);
  const lower = found.some((norm) => norm && norm < 10 ** LOWEST);
  const label = (mark) => {
    if (mark === foot) return "0";
    return `${lower && mark === LOWEST ? "≤" : ""}10${superscript(mark)}`;
  };
  const height = (norm) => (norm ? (Number.isFinite(norm) ? power(norm) : null) : foot);
  return { low: foot ?? low, high, marks: foot === null ? marks : [foot, ...marks], label, height };
};

// The axis of the loss, up to a limit: losses that lie close together fill it, others stand above 0.
export const span = (losses, limit) => {
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const margin = Math.max(0.1 * (high - low), 0.001 * high);
  return low > 0.9 * high ? [low - margin, high + margin] : [0, Math.min(1.08 * high, limit)];
};

export class Charts {
  made = {}; // the charts of uPlot, by name
  range = [0, 1]; // of the axis of the loss
  norms = axis([[0.1, 1]]);

  // `part` gives an element of the lab by name, `colour` the value of a custom property.
  constructor(part, colour) {
    Object.assign(this, { part, colour });
  }

  clear() {
    for (const chart of Object.values(this.made)) chart.destroy();
    this.made = {};
  }

  // Make empty charts of a run, as wide as there is room.
  make(uPlot, run) {
    this.clear();
    const make = (name, lines, range, y) => {
      const element = this.part(name);
      const shared = {
        stroke: () => this.colour(INK),
        grid: { stroke: () => this.colour("--lab-grid"), width: 1 },
        ticks: { show: false },
      };
      const series = lines.map(([label, [stroke, dash]]) => ({
        label,
        stroke: () => this.colour(stroke),
        dash,
        width: 2,
        points: { show: () => run.length < 2 },
      }));
      const options = {
        width: element.clientWidth,
        height: 200,
        cursor: { show: false },
        legend: { live: false, markers: { width: 3, dash: (_, i) => lines[i - 1]?.[1][2] } },
        scales: { x: { time: false, range: () => [0, Math.max(1, run.step)] }, y: { range } },
        axes: [{ ...shared, size: 30 }, { ...shared, size: 56, ...y }],
        series: [{ label: phrase("step") }, ...series],
      };
      this.made[name] = new uPlot(options, [[], ...lines.map(() => [])], element);
    };
    make("loss", [[phrase("loss"), LOOKS.loss], ["H(p)", LOOKS.bound]], () => this.range, {
      values: (_, marks) => marks.map(tick),
    });
    const looks = [...LOOKS.layers.slice(0, run.depth), LOOKS.output];
    const layers = looks.map((look, i) => [layerName(i, run.depth), look]);
    make("norms", layers, () => [this.norms.low - 0.3, this.norms.high + 0.3], {
      splits: () => this.norms.marks,
      values: (_, marks) => marks.map(this.norms.label),
    });
  }

  // Each layer's mean square as a dot on a logarithmic scale, and in digits. Zero is a cross at the left end.
  // Without signals there are the names alone.
  drawSignals(depth, signals) {
    const dot = (signal) => {
      if (Number.isNaN(signal)) return "";
      const place = (Math.min(power(signal), HIGHEST) - LOWEST) / (HIGHEST - LOWEST);
      return `<b data-place="${100 * place}">${signal ? "●" : "×"}</b>`;
    };
    const row = (_, i) => [layerName(i, depth), ...(signals ? [dot(signals[i]), short(signals[i])] : ["", ""])];
    const cells = Array.from({ length: depth + 1 }, row).flat();
    const part = this.part("signals");
    part.innerHTML = cells.map((cell) => `<span>${cell}</span>`).join("");
    for (const dot of part.querySelectorAll("b")) dot.style.left = `${dot.dataset.place}%`; // no style in HTML: the policy
  }

  draw(run) {
    const every = Math.ceil(run.length / SHOWN);
    const steps = Array.from({ length: Math.ceil(run.length / every) }, (_, i) => i * every);
    if (steps.at(-1) !== run.step) steps.push(run.step);
    const bound = run.entropy;
    const losses = steps.map((at) => run.loss(at)).map((loss) => (Number.isFinite(loss) ? loss : null));
    const highest = losses.reduce((a, b) => Math.max(a, b), bound);
    const limit = 3 * Math.max(losses[0], bound);
    const cut = phrase(", drawn up to {limit}", { limit: short(limit) });
    this.part("cut").textContent = highest > limit ? cut : "";
    this.range = span([...losses.filter(Number.isFinite), bound], limit);
    this.made.loss.setData([steps, losses, steps.map(() => bound)]);
    const norms = steps.map((at) => run.norms(at));
    this.norms = axis(norms);
    const heights = norms.map((row) => row.map(this.norms.height));
    this.made.norms.setData([steps, ...norms[0].map((_, layer) => heights.map((row) => row[layer]))]);
  }
}
