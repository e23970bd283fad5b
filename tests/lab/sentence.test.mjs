// The sentence is the first row of the table on the lab's page that is true of a state.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import "../../src/bookbuild/translation/phrase.js";
import { Run } from "../../src/bookbuild/lab/static/lab/run.js";
import { descriptions, layerName, sentence, short, tick } from "../../src/bookbuild/lab/static/lab/sentence.js";

const labels = [0, 1];
const H = Math.log(2); // 0.6931
const twin = [[1, 2, 1, 2], [0.5, 0.5], [3, 3, -3, -3], [0, 0]].map((n) => Float32Array.from(n));

// A state after losses, with the gradient norms of the last: weight, bias, weight, output bias.
const state = (losses, { norms = [1, 1, 1, 1], signals = [2, 0.5], start = "normal", ...more } = {}) => {
  const settings = { start, depth: 1, width: 2, data: "xor" };
  const run = new Run(settings, labels);
  for (const loss of losses) run.record({ loss, norms, signals, logits: [1, 0, 0, 1] }, twin);
  const network = { distinct: [2], gap: 0.05, moves: () => true };
  return { settings, labels, run, network, layer: 0, loading: false, failure: "", ...more };
};
const network = (more) => ({ network: { ...state([H]).network, ...more } });
const own = (labels, more) => {
  const usual = state([H], { labels, ...more });
  return { ...usual, settings: { ...usual.settings, data: "own" } };
};
const parted = (step, losses) => {
  const after = state(losses, { start: "tied" });
  after.run.parted = step;
  return after;
};
const dead = { norms: [0, 0, 0, 0.5] };
const rest = { norms: [0, 0, 0, 0] };
// Of four parameters, the next step moves one among the first so many.
const first = (at) => network({ moves: (count = 4) => at < count });

// In the order of the table on the page: where a state fits several rows, the first is said.
const table = [
  ["There is nothing to tell apart yet: place points of both classes", own([])],
  ["There is nothing to tell apart yet: place a point of class A", own([1, 1])],
  ["There is nothing to tell apart yet: place a point of class B", own([0], { failure: "It failed." })],
  ["It failed.", state([], { failure: "It failed.", network: null, loading: true })],
  ["Loading what runs the training: about 4 MB, once.", state([], { network: null, loading: true })],
  ["Nothing is trained yet.", state([], { network: null })],
  ["Diverged at step 2: the loss is not finite.", state([1, 9, NaN], rest)],
  ["Momentum alone: every gradient is exactly zero; the next step", state([H], { ...rest, ...first(3) })],
  ["Momentum alone: every gradient but that of the output bias is", state([H], { ...dead, ...first(2) })],
  ["At rest: every gradient is exactly zero, so nothing moves.", state([H], { ...rest, ...first(4) })],
  [
    "Dead: only the output bias has a gradient, so only it moves. The loss is 0.9; it can fall to H(p) = 0.6931",
    state([0.9], { ...dead, ...first(3) }),
  ],
  [
    "Dead, and arrived: only the output bias has a gradient, too small to move it. The loss has fallen to H(p)",
    state([H], { ...dead, ...first(4) }),
  ],
  [
    "Collapsed: the 2 units of layer 1 act as 1. The loss is 0.5, and H(p) = 0.6931. It was first below nine tenths of H(p) at step 1.",
    state([H, 0.5], network({ distinct: [1] })),
  ],
  [
    "Collapsed: the 2 units of layer 2 act as 1, those of layer 3 act as 1. The loss is 0.6931,",
    state([H], network({ distinct: [2, 1, 1] })),
  ],
  ["Collapsed: ", state([H], { start: "tied", ...network({ distinct: [1], gap: 0 }) })],
  ["Nearly collapsed: the units of layer 1 differ by 0.05 at most. The loss is 0.7,", state([0.7], { start: "tied" })],
  ["Came apart at step 1: there the units of layer 1 first differed by more than a tenth. Learning: ", parted(1, [H, 0.6])],
  ["Came apart at step 0: there the units of layer 1 first differed by more than a tenth. Before training: ", parted(0, [H])],
  ["Before training: all units differ; the loss is 0.6, already below H(p) = 0.6931.", state([0.6])],
  ["Before training: all units differ; the loss is 0.8, not below H(p) = 0.6931.", state([0.8])],
  ["Learning: the loss is 0.65, below H(p) = 0.6931, which no constant output can beat.", state([H, 0.65])],
  ["Learning: the loss is 0.65, below H(p) = 0.6931, which no constant output can beat. It was first", state([H, 0.5, 0.65])],
  ["All units differ; the loss, 0.7, is not below H(p) = 0.6931.", state([0.7, 0.7])],
  ["All units differ; the loss, 0.6931, is not below H(p) = 0.6931.", state([H, H - 1e-6])],
];
for (const [said, of] of table) {
  test(said, () => assert.ok(sentence(of).startsWith(said), sentence(of)));
}

test("the table on the page has these rows, in this order", () => {
  const page = readFileSync(new URL("../../book/lab.md", import.meta.url), "utf-8");
  const [, listed] = page.match(/^\| It says \| if \|\n.*\n((?:\|.*\n)+)/m);
  const rows = [...listed.matchAll(/^\| \*(.*?)\*/gm)].map(([, row]) => row.replace(" k", ""));
  const found = table.map(([said]) => rows.findLast((row) => said.toLowerCase().startsWith(row)));
  assert.deepEqual([...new Set(found)].filter(Boolean), rows);
});

test("numbers have four digits, and on an axis few signs", () => {
  assert.deepEqual([0, 0.123456, 12345.6, 1e-7].map(short), ["0", "0.1235", "12350", "1e-7"]);
  assert.deepEqual([0, 0.5, 1234, 12345, 1e-4].map(tick), ["0", "0.5", "1234", "1.2e4", "1e-4"]);
  assert.deepEqual([0, 1, 2].map((i) => layerName(i, 2)), ["layer 1", "layer 2", "output"]);
});

test("before a network is there, its drawings are said to be empty", () => {
  const empty = "Empty: nothing is trained yet.";
  assert.deepEqual(descriptions(state([], { network: null })), {
    answer: "The network’s answer and 2 points, of class A ● or class B ■.",
    loss: empty,
    norms: empty,
    signals: empty,
    units: empty,
  });
});

test("drawings are described by their numbers", () => {
  assert.deepEqual(descriptions(state([0.8, 0.6], { norms: [3, 4, 0, 0.5] })), {
    answer: "The network’s answer and 2 points, of class A ● or class B ■. It classifies 2 of them correctly.",
    loss: "Loss by step, 0 to 1: it began at 0.8 and is 0.6. A line marks H(p) = 0.6931.",
    norms: "Gradient norm of each layer by step, now: layer 1 5, output 0.5.",
    signals: "Mean square of each layer’s output, now: layer 1 2, output 0.5; from layer 1 to the output it is multiplied by 0.25.",
    units: "The 2 units of hidden layer 1, each a dot at two of its weights: 2 different.",
  });
  assert.match(descriptions(state([0.8], { labels: [1, 0] })).answer, /It classifies 0 of them correctly\.$/);
});

test("a first layer that gives zeros, or numbers that are too large, have no factor", () => {
  const said = (signals) => descriptions(state([H], { signals })).signals;
  assert.equal(said([0, 0]), "Mean square of each layer’s output, now: layer 1 0, output 0.");
  assert.equal(said([0, 3]), "Mean square of each layer’s output, now: layer 1 0, output 3.");
  assert.match(said([3, 0]), /multiplied by 0\.$/);
  assert.equal(said([1, Infinity]), "Mean square of each layer’s output, now: layer 1 1, output Infinity.");
});
