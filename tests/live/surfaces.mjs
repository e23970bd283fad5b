// Reads starts by figure as JSON, and writes the path of gradient descent from each, and the losses along it.

import { readFileSync } from "node:fs";

import "../../src/bookbuild/live/static/live/kernel.js";
import "../../src/bookbuild/translation/phrase.js";

await import("../../src/bookbuild/live/static/live/surface.js");

const made = {};
for (const [figure, starts] of Object.entries(JSON.parse(readFileSync(0, "utf-8")))) {
  live.surface = (_, model) => {
    const paths = starts.map((start) => live.descend(model, start));
    made[figure] = paths.map((path) => ({ path, losses: path.map((weights) => model.evaluate(weights).loss) }));
  };
  live.figure = (_, build) => build();
  await import(`../../src/bookbuild/live/static/live/figures/${figure}.js`);
}
console.log(JSON.stringify(made));
