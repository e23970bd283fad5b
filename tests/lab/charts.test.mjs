// The axis of the gradient norms has whole powers of ten, and a line at its foot for exact zeros.
// The axis of the loss begins at 0, but where all losses lie close together.

import assert from "node:assert/strict";
import { test } from "node:test";

import "../../src/bookbuild/translation/phrase.js";
import { axis, span } from "../../src/bookbuild/lab/static/lab/charts.js";

const labels = ({ marks, label }) => marks.map(label);

test("the marks are powers of ten about the norms", () => {
  const { low, high, marks, label } = axis([[0.02, 3], [0.5, 5]]);
  assert.deepEqual([low, high], [-2, 1]);
  assert.deepEqual(labels({ marks, label }), ["10⁻²", "10⁻¹", "10⁰", "10¹"]);
});

test("exact zeros lie below all other norms, on a line marked 0", () => {
  const { low, marks, label, height } = axis([[0, 0.1], [0, 1]]);
  assert.deepEqual(labels({ marks, label }), ["0", "10⁻¹", "10⁰"]);
  assert.deepEqual([height(0), height(0.1), height(1)], [low, -1, 0]);
});

test("only zeros, or nothing at all, have an axis too", () => {
  assert.deepEqual(labels(axis([[0, 0]])), ["0", "10⁻¹", "10⁰"]);
  assert.deepEqual(labels(axis([[]])), ["10⁻¹", "10⁰"]);
});

test("the lowest mark stands for smaller norms too, and says so", () => {
  assert.equal(labels(axis([[1e-15, 1e-9]]))[0], "≤10⁻¹²");
  assert.equal(labels(axis([[1e-12, 1e-9]]))[0], "10⁻¹²");
  assert.equal(axis([[1e-15, 1]]).height(1e-15), -12);
});

test("losses that lie close together fill the axis of the loss", () => {
  const [low, high] = span([0.693, 0.683], 2);
  assert.ok(low < 0.683 && high > 0.693);
  assert.ok((0.693 - 0.683) / (high - low) > 0.8);
});

test("one loss alone has an axis of some height", () => {
  const [low, high] = span([0.5, 0.5], 2);
  assert.ok(low < 0.5 && 0.5 < high);
});

test("losses far apart stand above 0, up to the limit", () => {
  assert.deepEqual(span([0.1, 1], 2), [0, 1.08]);
  assert.deepEqual(span([0.1, 9], 2), [0, 2]);
});

test("there are six gaps between marks at most, and no line where a norm is not finite", () => {
  assert.deepEqual(labels(axis([[1e-12, 1]])).length, 7);
  assert.equal(axis([[1, Infinity]]).height(Infinity), null);
  assert.equal(axis([[1, NaN]]).high, 1);
});
