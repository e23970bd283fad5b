// Tiles: the size of every parameter's gradient by step, as far as training shows it.

// Train a network on the half-plane, with the parameters at the places `zeros` zero at the start, and at `fixed` at every step.
// Return its losses, and for each parameter the size of its gradient by step.
live.follow = (widths, activation, { steps, zeros, fixed = [] }) => {
  const network = new live.Network(widths, activation).draw(live.generator(0));
  for (const i of [...zeros, ...fixed]) network.parameters[i].fill(0);
  const sizes = network.parameters.map(() => []);
  const losses = network.train(live.points(live.numbers.halfPlane), { steps, lr: 0.5 }, (step, gradients) => {
    for (const i of fixed) gradients[i].fill(0);
    gradients.forEach((gradient, i) => sizes[i].push(Math.hypot(...gradient)));
  });
  return { losses, sizes };
};

// A picture for tiles.
live.tileAxes = (figure, height) =>
  figure.axes(phrase("A row of tiles for each parameter, a column for each step."), {
    width: 320, height, left: 50, right: 4, top: 22, bottom: 36,
  });

// Draw a row of tiles for each name, the first at the foot: fainter for smaller gradients, crossed out for exact zeros.
live.tiles = (axes, names, sizes, steps) => {
  axes.clear();
  axes.text(2, 14, phrase("gradient (× is zero)"));
  axes.scale([0, steps], [0, names.length]);
  const width = axes.x(1) - axes.x(0);
  const height = axes.y(0) - axes.y(1);
  const middle = { "text-anchor": "middle" };
  names.forEach((name, row) => {
    const y = axes.y(row + 0.5) + 4;
    axes.text(axes.left - 6, y, name, { "text-anchor": "end" });
    sizes[row].slice(0, steps).forEach((size, step) => {
      const opacity = size && Math.min(1, Math.max(0.15, 1 + Math.log10(size) / 8));
      const place = { x: axes.x(step) + 1, y: axes.y(row + 1) + 1, width: width - 2, height: height - 2 };
      axes.add("rect", { ...place, class: "live-tile", "fill-opacity": opacity });
      if (!size) axes.text(axes.x(step + 0.5), y, "×", { ...middle, "data-kind": "zeros" });
    });
  });
  for (let step = 0; step < steps; step++) axes.text(axes.x(step + 0.5), axes.bottom + 14, step + 1, middle);
  axes.text((axes.left + axes.right) / 2, axes.bottom + 29, phrase("step"), middle);
};
