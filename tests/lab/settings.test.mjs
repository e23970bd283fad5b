// A link sets the lab, its wrong parts are named and left out, and a state has its link.

import assert from "node:assert/strict";
import { test } from "node:test";

import "../../src/bookbuild/translation/phrase.js";
import { choose, link, read } from "../../src/bookbuild/lab/static/lab/settings.js";
import { controls, links } from "./inputs.mjs";

const defaults = {
  activation: "tanh",
  depth: 1,
  width: 8,
  start: "zeros",
  seed: 0,
  optimizer: "sgd",
  lr: 0.5,
  steps: 1000,
  data: "xor",
};

for (const state of links.good) {
  test(`${state} is taken in full`, () => assert.deepEqual(read(state, controls).notes, []));
}

for (const state of links.bad) {
  test(`${state} is not taken in full`, () => {
    const { notes, settings } = read(state, controls);
    assert.notEqual(notes.length, 0);
    // The state that is taken instead is a good one.
    assert.deepEqual(read(link(settings, [], controls).slice(1), controls), { settings, notes: [] });
  });
}

test("an empty link is the state of all defaults", () => {
  assert.deepEqual(read("", controls), { settings: defaults, notes: [] });
  assert.equal(link(defaults, [], controls), "");
});

const said = [
  ["lr=fast", "“lr=fast” is not a number from 1e-4 to 1000: 0.5 is taken."],
  ["steps=1.5", "“steps=1.5” is not a whole number from 1 to 100000: 1000 is taken."],
  ["width=7", "“width=7” is not one of 2, 4, 8, 16, 17, 32: 8 is taken."],
  ["start=tied&size=2", "“size=2” is not a number from 1e-7 to 1: 0.001 is taken."],
  ["start=normal&size=2e1", "“size=2e1” is not a number from 1e-4 to 10: 1 is taken."],
  ["size=1", "“size” has no use with start=zeros: it is left out."],
  ["colour=red", "“colour” is no setting of the lab: it is left out."],
  ["width=4&width=16", "A name is there twice: its last value is taken."],
  ["points=0:0:1", "“points” has no use without data=own: it is left out."],
  ["data=own&points=", "“points” is empty. One is x:y:class, from −3 to 3 and 0 or 1, and 128 are the most."],
  ["data=own&points=9:9:1", "Points left out: 1. One is x:y:class, from −3 to 3 and 0 or 1, and 128 are the most."],
];
for (const [state, note] of said) {
  test(`${state} is answered by a note`, () => assert.deepEqual(read(state, controls).notes, [note]));
}

test("good points are kept beside bad ones, up to the most", () => {
  const points = (count) => Array(count).fill("1:-0.5:1").join();
  const kept = read("data=own&points=9:9:1,1:-0.5:1", controls);
  assert.deepEqual(kept.own, [[1, -0.5, 1]]);
  assert.equal(read(`data=own&points=${points(128)}`, controls).notes.length, 0);
  const many = read(`data=own&points=${points(129)}`, controls);
  assert.equal(many.own.length, 128);
  assert.match(many.notes[0], /^Points left out: 1\./);
});

test("a link that places no points leaves those that are there", () => {
  assert.equal(read("data=own", controls).own, undefined);
  assert.equal(read("points=0:0:1", controls).own, undefined);
});

test("numbers are numbers, and a size belongs to its start", () => {
  const { settings } = read("lr=1e1&steps=5.0&width=16&start=tied", controls);
  assert.deepEqual(settings, { ...defaults, lr: 10, steps: 5, width: 16, start: "tied", size: 0.001 });
  assert.equal("size" in read("start=xavier", controls).settings, false);
});

test("a link says what differs from the defaults, and brings it back", () => {
  const states = [
    "activation=gelu&depth=3&width=17&start=tied&size=0.5&seed=5&optimizer=adam&lr=0.01&steps=7&data=moons",
    "start=biases&size=1e-4",
    "start=constant&data=own&points=-3:3:0,0.25:-0.01:1",
    "data=own",
  ];
  for (const state of states) {
    const { settings, own = [] } = read(state, controls);
    const written = link(settings, own, controls);
    const again = read(written.slice(1), controls);
    assert.deepEqual(again.notes, []);
    assert.deepEqual([again.settings, again.own ?? []], [settings, own]);
  }
  const tied = read("start=tied&size=0.001&lr=0.5&seed=3", controls).settings;
  assert.equal(link(tied, [[0, 0, 1]], controls), "#start=tied&seed=3");
});

test("fields are chosen as links are, with notes", () => {
  const texts = Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, String(value)]));
  assert.deepEqual(choose({ ...texts, size: "0.1" }, controls), { settings: defaults, notes: [] });
  assert.deepEqual(choose({ ...texts, lr: "" }, controls).notes, [
    "“lr=” is not a number from 1e-4 to 1000: 0.5 is taken.",
  ]);
});
