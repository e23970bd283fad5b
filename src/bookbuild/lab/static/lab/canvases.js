// The two canvases: the network's answer over the plane, and the units of a hidden layer as dots.

import { twins } from "./run.js";
import { tick } from "./sentence.js";

const INK = "--pst-color-text-base";
const SIDE = 48; // of the grid of points at which the network's answer is computed

export class Canvases {
  grid = {};

  // `part` gives an element of the lab by name, `colour` the value of a custom property.
  constructor(part, colour) {
    Object.assign(this, { part, colour });
  }

  // Empty a canvas, as large as it is shown, and return its context, which counts in CSS pixels.
  clear(name) {
    const element = this.part(name);
    const side = element.clientWidth;
    [element.width, element.height] = [side * devicePixelRatio, side * devicePixelRatio];
    const context = element.getContext("2d");
    context.scale(devicePixelRatio, devicePixelRatio);
    context.font = `13px ${getComputedStyle(element).fontFamily}`;
    return { context, side };
  }

  // Draw the points {x, y}, over the trainer's answer and under the cross; both may be null. The
  // plane ends at ±reach in both directions.
  async drawAnswer({ x, y }, reach, trainer, cross) {
    const { context, side } = this.clear("answer");
    if (trainer) context.drawImage(await this.picture(trainer, reach), 0, 0, side, side);
    context.strokeStyle = this.colour(INK);
    const pixel = (value) => (side * (value + reach)) / (2 * reach);
    x.forEach(([x1, x2], i) => {
      context.fillStyle = this.colour(y[i] ? "--lab-b" : "--lab-a");
      context.beginPath();
      if (y[i]) context.rect(pixel(x1) - 4, pixel(-x2) - 4, 8, 8);
      else context.arc(pixel(x1), pixel(-x2), 4.5, 0, 7);
      context.fill();
      context.stroke();
    });
    if (!cross) return;
    context.lineWidth = 2;
    context.strokeRect(pixel(cross[0]) - 10, pixel(-cross[1]), 20, 0);
    context.strokeRect(pixel(cross[0]), pixel(-cross[1]) - 10, 0, 20);
  }

  // The answer as a picture of SIDE × SIDE pixels: each has the colour of the likelier class, or the
  // background's where both classes are equally likely.
  async picture(trainer, reach) {
    if (this.grid.reach !== reach) {
      const at = (i) => reach * ((2 * i + 1) / SIDE - 1);
      const all = Array.from({ length: SIDE * SIDE }, (_, i) => [at(i % SIDE), -at(Math.floor(i / SIDE))]);
      this.grid = { reach, points: trainer.labelled(all, all.map(() => 0)) };
    }
    const logits = await trainer.logits(this.grid.points);
    const rgb = (name) => this.colour(name).match(/[\da-f]{2}/gi).map((pair) => parseInt(pair, 16));
    const [a, b, ground] = ["--lab-a", "--lab-b", "--lab-ground"].map(rgb);
    const image = new ImageData(SIDE, SIDE);
    for (let i = 0; i < SIDE * SIDE; i++) {
      const surplus = 2 / (1 + Math.exp(logits[2 * i] - logits[2 * i + 1])) - 1;
      const strength = surplus && 0.15 + 0.4 * Math.abs(surplus);
      const rgba = ground.map((c, k) => c + strength * ((surplus > 0 ? b : a)[k] - c));
      image.data.set([...rgba, 255], 4 * i);
    }
    const picture = new OffscreenCanvas(SIDE, SIDE);
    picture.getContext("2d").putImageData(image, 0, 0);
    return picture;
  }

  // Draw each unit of a hidden layer at its weights from the first two units below. Units at one
  // place share a dot. Beside it stands ×8 for eight twins, or else how many units there are and how
  // many of them differ. Without parameters there are only the axes.
  drawUnits(parameters, layer) {
    const { context, side } = this.clear("units");
    const [first, second] = layer ? [phrase("unit 1"), phrase("unit 2")] : ["x₁", "x₂"];
    const middle = side / 2;
    context.strokeStyle = this.colour("--pst-color-border");
    context.strokeRect(0, middle, side, 0);
    context.strokeRect(middle, 0, 0, side);
    context.fillStyle = this.colour(INK);
    context.fillText(phrase("↑ weight from {unit}", { unit: second }), 6, 16);
    context.textAlign = "right";
    context.fillText(phrase("weight from {unit} →", { unit: first }), side - 6, side - 8);
    if (!parameters) return;
    const [weight, bias] = parameters.slice(2 * layer);
    const into = weight.length / bias.length;
    const largest = weight.reduce((most, w, i) => (i % into < 2 ? Math.max(most, Math.abs(w)) : most), 0);
    const reach = largest ? 2 ** Math.ceil(Math.log2(1.15 * largest)) : 1;
    context.fillText(tick(reach), side - 4, middle - 6);
    context.textAlign = "left";
    const dots = [];
    for (const group of twins(parameters, layer)) {
      const [x, y] = [0, 1].map((i) => weight[group[0] * into + i] / reach);
      const [left, top] = [middle * (1 + x), middle * (1 - y)];
      const near = dots.find((dot) => Math.hypot(dot.left - left, dot.top - top) < 2);
      if (near) [near.units, near.groups] = [near.units + group.length, near.groups + 1];
      else dots.push({ left, top, units: group.length, groups: 1 });
    }
    for (const { left, top, units, groups } of dots) {
      context.fillStyle = this.colour(groups > 1 || units === 1 ? "--lab-3" : "--lab-1");
      context.beginPath();
      context.arc(left, top, 4 + Math.log2(units), 0, 7);
      context.fill();
      if (units === 1) continue;
      context.fillStyle = this.colour(INK);
      const text = groups === 1 ? `×${units}` : phrase("{units} here, {groups} different", { units, groups });
      context.fillText(text, Math.min(left + 12, side - context.measureText(text).width - 4), top - 8);
    }
  }
}
