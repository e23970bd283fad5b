// Reads networks, points and rules as JSON, and writes for each what the kernel makes of it.

import { readFileSync } from "node:fs";

import "../../src/bookbuild/live/static/live/kernel.js";

const numbers = (arrays) => arrays.map((array) => [...array]);

const made = ({ widths, activation, start, data, rule }) => {
  const network = new live.Network(widths, activation);
  if (typeof start !== "string") start.forEach((values, i) => network.parameters[i].set(values));
  else network.draw(live.generator(0));
  if (start === "tied") network.tie();
  const began = numbers(network.parameters);
  const { gradients } = network.evaluate(data);
  const losses = network.train(data, rule);
  return { began, gradients: numbers(gradients), losses, parameters: numbers(network.parameters) };
};

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf-8")).map(made)));
