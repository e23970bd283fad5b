// Reads states as JSON, and writes for each whether the lab takes it in full.

import { readFileSync } from "node:fs";

import "../../src/bookbuild/translation/phrase.js";
import { read } from "../../src/bookbuild/lab/static/lab/settings.js";
import { controls } from "./inputs.mjs";

const states = JSON.parse(readFileSync(0, "utf-8"));
console.log(JSON.stringify(states.map((state) => read(state, controls).notes.length === 0)));
