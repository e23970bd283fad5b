// The two squares: the network's answer over the plane, and the units of a hidden layer as dots.

import { twins } from "./run.js";
import { tick } from "./sentence.js";

const INK = "--pst-color-text-base";
const SIDE = 48; // of the grid on which the network is asked for its answer

export class Canvases {
  grid = {};

  // `part` gives an element of the lab by name, `colour` the value of a custom property.
  constructor(part, colour) {
    Object.assign(this, { part, colour });
  }

  // A pen for a canvas as large as it is shown, in CSS pixels.
  clean(name) {
    const element = this.part(name);
    const side = element.clientWidth;
    [element.width, element.height] = [side * devicePixelRatio, side * devicePixelRatio];
    const pen = element.getContext("2d");
    pen.scale(devicePixelRatio, devicePixelRatio);
    pen.font = `13px ${getComputedStyle(element).fontFamily}`;
    return { pen, side };
  }

  // The points {x, y} in a plane that reaches so far from the origin, over the trainer's answer and
  // under the cross; both may be null.
  async drawAnswer({ x, y }, far, trainer, cross) {
    const { pen, side } = this.clean("answer");
    if (trainer) pen.drawImage(await this.shades(trainer, far), 0, 0, side, side);
    pen.strokeStyle = this.colour(INK);
    const to = (value) => (side * (value + far)) / (2 * far);
    x.forEach(([x1, x2], i) => {
      pen.fillStyle = this.colour(y[i] ? "--lab-b" : "--lab-a");
      pen.beginPath();
      if (y[i]) pen.rect(to(x1) - 4, to(-x2) - 4, 8, 8);
      else pen.arc(to(x1), to(-x2), 4.5, 0, 7);
      pen.fill();
      pen.stroke();
    });
    if (!cross) return;
    pen.lineWidth = 2;
    pen.strokeRect(to(cross[0]) - 10, to(-cross[1]), 20, 0);
    pen.strokeRect(to(cross[0]), to(-cross[1]) - 10, 0, 20);
  }

  // A picture of SIDE × SIDE pixels: the colour of the likelier class, the ground where both are
  // equally likely.
  async shades(trainer, far) {
    if (this.grid.far !== far) {
      const at = (i) => far * ((2 * i + 1) / SIDE - 1);
      const all = Array.from({ length: SIDE * SIDE }, (_, i) => [at(i % SIDE), -at(Math.floor(i / SIDE))]);
      this.grid = { far, points: trainer.labelled(all, all.map(() => 0)) };
    }
    const logits = await trainer.logits(this.grid.points);
    const rgb = (name) => this.colour(name).match(/[\da-f]{2}/gi).map((pair) => parseInt(pair, 16));
    const [a, b, ground] = ["--lab-a", "--lab-b", "--lab-ground"].map(rgb);
    const image = new ImageData(SIDE, SIDE);
    for (let i = 0; i < SIDE * SIDE; i++) {
      const surplus = 2 / (1 + Math.exp(logits[2 * i] - logits[2 * i + 1])) - 1;
      const strength = surplus && 0.15 + 0.4 * Math.abs(surplus);
      const pixel = ground.map((c, k) => c + strength * ((surplus > 0 ? b : a)[k] - c));
      image.data.set([...pixel, 255], 4 * i);
    }
    const picture = new OffscreenCanvas(SIDE, SIDE);
    picture.getContext("2d").putImageData(image, 0, 0);
    return picture;
  }

  // Each unit of a hidden layer, at its weights from the first two units below. Units in one place
  // share a dot: ×8 beside it for twins, else how many they are and how many of them differ. Only
  // the axes if there are no parameters.
  drawUnits(parameters, layer) {
    const { pen, side } = this.clean("units");
    const [first, second] = layer ? ["unit 1", "unit 2"] : ["x₁", "x₂"];
    const middle = side / 2;
    pen.strokeStyle = this.colour("--pst-color-border");
    pen.strokeRect(0, middle, side, 0);
    pen.strokeRect(middle, 0, 0, side);
    pen.fillStyle = this.colour(INK);
    pen.fillText(`↑ weight from ${second}`, 6, 16);
    pen.textAlign = "right";
    pen.fillText(`weight from ${first} →`, side - 6, side - 8);
    if (!parameters) return;
    const [weight, bias] = parameters.slice(2 * layer);
    const into = weight.length / bias.length;
    const largest = weight.reduce((most, w, i) => (i % into < 2 ? Math.max(most, Math.abs(w)) : most), 0);
    const far = largest ? 2 ** Math.ceil(Math.log2(1.15 * largest)) : 1;
    pen.fillText(tick(far), side - 4, middle - 6);
    pen.textAlign = "left";
    const dots = [];
    for (const group of twins(parameters, layer)) {
      const [x, y] = [0, 1].map((i) => weight[group[0] * into + i] / far);
      const [left, top] = [middle * (1 + x), middle * (1 - y)];
      const near = dots.find((dot) => Math.hypot(dot.left - left, dot.top - top) < 2);
      if (near) [near.units, near.groups] = [near.units + group.length, near.groups + 1];
      else dots.push({ left, top, units: group.length, groups: 1 });
    }
    for (const { left, top, units, groups } of dots) {
      pen.fillStyle = this.colour(groups > 1 || units === 1 ? "--lab-3" : "--lab-1");
      pen.beginPath();
      pen.arc(left, top, 4 + Math.log2(units), 0, 7);
      pen.fill();
      if (units === 1) continue;
      pen.fillStyle = this.colour(INK);
      const text = groups === 1 ? `×${units}` : `${units} here, ${groups} different`;
      pen.fillText(text, Math.min(left + 12, side - pen.measureText(text).width - 4), top - 8);
    }
  }
}
