// The loss of two weights as level lines, on which a reader chooses where gradient descent begins.

// The path of gradient descent: both weights before each step, and after the last.
live.descend = ({ evaluate, lr, steps }, start) => {
  const path = [start];
  for (let step = 0; step < steps; step++) {
    const { gradient } = evaluate(path[step]);
    path.push(path[step].map((weight, i) => weight - lr * gradient[i]));
  }
  return path;
};

(() => {
  const CELLS = 48; // along a side
  const GRAIN = 10; // a start is a multiple of its inverse
  const MOST = 2; // of each weight of a start, so that paths stay on the surface
  const SIZE = { width: 320, height: 320, left: 26, right: 8, top: 8, bottom: 36 };

  // The level lines, as the text of a path: each triangle that a level crosses holds a piece.
  const contours = (axes, { evaluate, levels, reach }) => {
    const at = (k) => reach * ((2 * k) / CELLS - 1);
    const corners = Array.from({ length: CELLS + 1 }, (_, i) =>
      Array.from({ length: CELLS + 1 }, (_, j) => [axes.x(at(i)), axes.y(at(j)), evaluate([at(i), at(j)]).loss]),
    );
    const pieces = [];
    for (let i = 0; i < CELLS; i++) {
      for (let j = 0; j < CELLS; j++) {
        const [a, b, c, d] = [corners[i][j], corners[i + 1][j], corners[i + 1][j + 1], corners[i][j + 1]];
        for (const [p, q, r] of [[a, b, c], [a, c, d]]) {
          for (const level of levels) {
            const ends = [[p, q], [q, r], [r, p]]
              .filter(([one, other]) => one[2] < level !== other[2] < level)
              .map(([one, other]) => {
                const share = (level - one[2]) / (other[2] - one[2]);
                return [0, 1].map((k) => (one[k] + share * (other[k] - one[k])).toFixed(1));
              });
            if (ends.length) pieces.push(`M${ends.join("L")}`);
          }
        }
      }
    }
    return pieces.join("");
  };

  // A model has the loss and its gradient (`evaluate`), the rate and the steps, what is drawn on the surface
  // (`decorate`), the kind of a path, and the sentence about it (`tell`).
  live.surface = (figure, model) => {
    const { reach, names, steps } = model;
    const [first, second] = names;
    const told = phrase("The loss over {first} and {second} as level lines, and paths of descent.", { first, second });
    const axes = figure.axes(told, SIZE);
    const stage = document.createElement("div");
    stage.className = "live-stage";
    stage.tabIndex = 0;
    stage.setAttribute("role", "application");
    const keys = phrase("Map of the loss: arrow keys move the start, and Enter begins the descent");
    stage.setAttribute("aria-label", keys);
    axes.element.replaceWith(stage);
    stage.append(axes.element);

    axes.clear();
    axes.scale([-reach, reach], [-reach, reach]);
    const ticks = [-2, 0, 2].map((tick) => [tick, tick]);
    axes.frame(ticks, ticks, names[0], "");
    axes.text(2, axes.y(1) + 4, names[1]);
    axes.add("path", { d: contours(axes, model), class: "live-line", "data-kind": "level" });
    model.decorate(axes);
    const ground = axes.element.childNodes.length;
    const paths = [];
    let start = [0, 0];

    const draw = (last) => {
      while (axes.element.childNodes.length > ground) axes.element.lastChild.remove();
      for (const path of paths) {
        const shown = path === paths.at(-1) ? path.slice(0, last + 1) : path;
        const kind = model.kind(path);
        axes.curve(shown, kind);
        const [from, to] = [path[0], shown.at(-1)].map(([x, y]) => [axes.x(x), axes.y(y)]);
        axes.add("circle", { cx: from[0], cy: from[1], r: 4, class: "live-mark", "data-kind": kind });
        axes.add("rect", { x: to[0] - 4, y: to[1] - 4, width: 8, height: 8, class: "live-mark", "data-kind": kind });
      }
      const [x, y] = [axes.x(start[0]), axes.y(start[1])];
      axes.add("path", { d: `M${x - 9},${y}h18M${x},${y - 9}v18`, class: "live-line" });
    };

    const descend = (from) => {
      start = from;
      paths.push(live.descend(model, start));
      figure.animate(steps, draw);
      figure.say(model.tell(paths.at(-1)));
    };

    const move = (place) => {
      start = place.map((weight) => Math.round(GRAIN * Math.min(MOST, Math.max(-MOST, weight))) / GRAIN);
    };

    stage.addEventListener("click", figure.guard(({ clientX, clientY }) => {
      const box = axes.element.getBoundingClientRect();
      const [x, y] = [((clientX - box.left) * SIZE.width) / box.width, ((clientY - box.top) * SIZE.height) / box.height];
      const { left, right, top, bottom } = axes;
      move([reach * ((2 * (x - left)) / (right - left) - 1), reach * ((2 * (bottom - y)) / (bottom - top) - 1)]);
      descend(start);
    }));

    const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
    stage.addEventListener("keydown", figure.guard((event) => {
      const way = ARROWS[event.key];
      if (event.key === "Enter") descend(start);
      if (!way) return;
      event.preventDefault();
      move(start.map((weight, i) => weight + way[i] / GRAIN));
      draw(steps);
      figure.say(phrase("Start at {place}. Press Enter.", { place: live.place(names, start, 1) }));
    }));

    figure.legend(phrase("Start at"));
    for (const [name, place] of Object.entries(model.starts)) figure.button(name, () => descend(place));
    draw(steps);
  };

  // Two weights with their names, in words.
  live.place = (names, weights, digits) => names.map((name, i) => `${name} = ${weights[i].toFixed(digits)}`).join(", ");
})();
