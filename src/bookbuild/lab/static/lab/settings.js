// The settings of the lab: reads a link, and writes the link of a state. README.md has the grammar.
// Nothing here uses the DOM.
//
// `controls` are those of the form in lab.html. All values are texts.
//   menus    the values that each menu offers, by name
//   numbers  {min, max, step} of each number, by name
//   sizes    {min, max, value} of "size" for each start that has one
//   defaults the value of each setting that a link leaves out, by name; "start" comes before "size"
//   points   {data, reach, most}: the data for which the reader places points, how far from the
//            origin a coordinate may be, and how many points there may be

import { together } from "./sentence.js";

const NUMBER = /^ *[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)? *$/i;
const number = (text) => (NUMBER.test(text) ? Number(text) : NaN);
const typed = (text) => (NUMBER.test(text) ? Number(text) : text);

const defaultOf = (name, start, controls) =>
  name === "size" ? controls.sizes[start].value : controls.defaults[name];

// A note on the value of a setting that breaks its rule, so that another is taken; "" if it breaks none.
const complaint = (name, text, taken, start, { menus, numbers, sizes }) => {
  const given = `${name}=${text}`;
  if (name in menus) {
    const values = { given, choices: menus[name].join(", "), taken };
    return menus[name].includes(text) ? "" : phrase("“{given}” is not one of {choices}: {taken} is taken.", values);
  }
  const { min, max, step } = { ...numbers[name], ...(name === "size" && sizes[start]) };
  const value = number(text);
  const whole = step !== "any";
  if (value >= +min && value <= +max && !(whole && !Number.isInteger(value))) return "";
  const values = { given, min, max, taken };
  return whole
    ? phrase("“{given}” is not a whole number from {min} to {max}: {taken} is taken.", values)
    : phrase("“{given}” is not a number from {min} to {max}: {taken} is taken.", values);
};

// Settings from texts by name, and a note on each text that is not taken.
export const choose = (given, controls) => {
  const settings = {};
  const notes = Object.keys(given)
    .filter((name) => name !== "points" && !Object.hasOwn(controls.defaults, name))
    .map((name) => phrase("“{name}” is no setting of the lab: it is left out.", { name }));
  for (const name of Object.keys(controls.defaults)) {
    if (name === "size" && !controls.sizes[settings.start]) continue;
    const usual = defaultOf(name, settings.start, controls);
    const wrong = name in given && complaint(name, given[name], usual, settings.start, controls);
    if (wrong) notes.push(wrong);
    settings[name] = typed(wrong || !(name in given) ? usual : given[name]);
  }
  return { settings, notes };
};

// The points of a text, [x, y, class] each, and notes on those that are left out.
const parsePoints = (text, { reach, most }) => {
  const all = text ? text.split(",").map((point) => point.split(":").map(number)) : [];
  const good = all.filter(
    (p) => p.length === 3 && Math.abs(p[0]) <= reach && Math.abs(p[1]) <= reach && [0, 1].includes(p[2]),
  );
  const own = good.slice(0, most);
  const values = { reach, most };
  const rule = phrase("One is x:y:class, from −{reach} to {reach} and 0 or 1, and {most} are the most.", values);
  const notes = text ? [] : [together(phrase("“points” is empty."), rule)];
  const left = all.length - own.length;
  if (left) notes.push(together(phrase("Points left out: {left}.", { left }), rule));
  return { own, notes };
};

// Read a link, without its #: the settings, notes on the parts left out, and the reader's own points
// (undefined if the link has none).
export const read = (link, controls) => {
  const pairs = [...new URLSearchParams(link)];
  const given = Object.fromEntries(pairs);
  const { settings, notes } = choose(given, controls);
  const { data } = controls.points;
  if (pairs.length > Object.keys(given).length) notes.push(phrase("A name is there twice: its last value is taken."));
  if ("size" in given && !("size" in settings)) {
    notes.push(phrase("“size” has no use with start={start}: it is left out.", settings));
  }
  if (!("points" in given)) return { settings, notes };
  if (settings.data !== data) {
    notes.push(phrase("“points” has no use without data={data}: it is left out.", { data }));
    return { settings, notes };
  }
  const { own, notes: more } = parsePoints(given.points, controls.points);
  return { settings, notes: [...notes, ...more], own };
};

// The link of a state, with its #: the settings that differ from their defaults. Empty if none does.
export const link = (settings, own, controls) => {
  const differs = (name) => settings[name] !== typed(defaultOf(name, settings.start, controls));
  const texts = Object.keys(settings).filter(differs).map((name) => `${name}=${settings[name]}`);
  if (settings.data === controls.points.data && own.length) {
    texts.push(`points=${own.map((point) => point.join(":")).join()}`);
  }
  return texts.length ? `#${texts.join("&")}` : "";
};
