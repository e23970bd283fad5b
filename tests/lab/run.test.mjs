// A run keeps every step and notes when something first happened; parameters tell which units are twins.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Run, distinct, gap, trainable, twins } from "../../src/bookbuild/lab/static/lab/run.js";

const labels = [0, 1, 1, 1];
const H = -(0.25 * Math.log(0.25) + 0.75 * Math.log(0.75));

// A network of two units: input weights by row, biases, output weights by row, output biases.
const network = (weight, bias, after) =>
  [weight, bias, after, [0, 0]].map((numbers) => Float32Array.from(numbers));
const equal = network([1, 2, 1, 2], [0.5, 0.5], [3, 3, -3, -3]);
const report = (loss, norms = [3, 4, 0, 0], signals = [1, 2]) => ({ loss, norms, signals, logits: [] });

const made = (losses, settings = { start: "normal", depth: 1 }, parameters = () => equal) => {
  const run = new Run(settings, labels);
  for (const [k, loss] of losses.entries()) run.record(report(loss), parameters(k));
  return run;
};

test("there is something to learn when both classes are there", () => {
  assert.deepEqual([[], [0], [1, 1], [1, 0]].map(trainable), [false, false, false, true]);
});

test("the entropy is that of the labels", () => {
  assert.equal(new Run({ start: "zeros", depth: 1 }, labels).entropy, H);
  assert.equal(new Run({ start: "zeros", depth: 1 }, [0, 1]).entropy, Math.log(2));
});

test("losses, the norms of layers and their signals are kept for every step", () => {
  const run = made([]);
  assert.deepEqual([run.length, run.step], [0, 0]);
  for (let k = 0; k < 5000; k++) run.record(report(k, [3 * k, 4 * k, 0, k], [k / 2, k / 4]), equal);
  assert.deepEqual([run.length, run.step], [5000, 4999]);
  for (const k of [0, 1, 1023, 1024, 2048, 4999]) {
    assert.equal(run.loss(k), k);
    assert.deepEqual(run.norms(k), [5 * k, k]);
    assert.deepEqual(run.signals(k), [k / 2, k / 4]);
  }
  assert.deepEqual([run.loss(), run.norms(), run.signals()], [4999, [5 * 4999, 4999], [4999 / 2, 4999 / 4]]);
  assert.equal(run.report.loss, 4999);
});

test("the loss leaves the plateau at the first step below nine tenths of H(p)", () => {
  assert.equal(made([H, 0.9 * H, 0.89 * H, H, 0.5 * H]).escaped, 2);
  assert.equal(made([0.1]).escaped, 0);
  assert.equal(made([H, H]).escaped, null);
});

test("a run diverges where its loss is not finite", () => {
  assert.equal(made([1, 2, Infinity]).diverged, 2);
  assert.equal(made([NaN]).diverged, 0);
  assert.equal(made([1e30]).diverged, null);
});

test("tied units part at the first step at which they differ by more than a tenth", () => {
  const apart = (k) => network([1, 2, 1, 2], [0.5, 0.5 + [0, 0.09, 0.11, 0, 1][k]], [3, 3, -3, -3]);
  const tied = { start: "tied", depth: 1 };
  assert.equal(made([1, 1, 1, 1, 1], tied, apart).parted, 2);
  assert.equal(made([1, 1], tied, apart).parted, null);
  assert.equal(made([1, 1, 1], { start: "constant", depth: 1 }, apart).parted, null);
});

test("the table lists 1, 2 and 5 times powers of ten, and steps at which something happened", () => {
  const steps = (run) => run.listed.map(([step]) => step);
  assert.deepEqual(steps(made(Array(101).fill(H))), [0, 1, 2, 5, 10, 20, 50, 100]);
  assert.deepEqual(steps(made([H, H, H, 0, 0])), [0, 1, 2, 3]);
  const apart = (k) => network([1, 2, 1, 2], [0.5, 0.5 + (k > 2)], [3, 3, -3, -3]);
  const run = made([H, H, H, H, H], { start: "tied", depth: 1 }, apart);
  assert.deepEqual(run.listed, [[0, [1]], [1, [1]], [2, [1]], [3, [2]]]);
});

test("twins are equal in all three pieces, to the last bit", () => {
  assert.deepEqual(twins(equal, 0), [[0, 1]]);
  for (const other of [
    network([1, 2, 1, 2 + 2 ** -22], [0.5, 0.5], [3, 3, -3, -3]),
    network([1, 2, 1, 2], [0.5, 0.5 + 2 ** -24], [3, 3, -3, -3]),
    network([1, 2, 1, 2], [0.5, 0.5], [3, 3, -3, -3 + 2 ** -22]),
  ]) {
    assert.deepEqual(twins(other, 0), [[0], [1]]);
  }
});

test("every hidden layer has its twins and its gap", () => {
  const deep = [
    [1, 2, 1, 2, 0, 0],
    [0, 0, 1],
    [1, 1, 1, 2, 2, 2, 4, 4, 4],
    [0, 0, 0],
    [5, 5, 5, 6, 6, 6],
    [0, 0],
  ].map((numbers) => Float32Array.from(numbers));
  assert.deepEqual(twins(deep, 0), [[0, 1], [2]]);
  assert.deepEqual(distinct(deep, 2), [2, 3]);
  assert.deepEqual([gap(deep, 0), gap(deep, 1)], [2, 3]);
  assert.equal(gap(equal, 0), 0);
});
