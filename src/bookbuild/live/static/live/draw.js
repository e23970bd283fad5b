// What live figures share: controls, pictures, and the sentence below them.

(() => {
  const element = (space) => (name, attributes = {}, ...children) => {
    const made = document.createElementNS(space, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const html = element("http://www.w3.org/1999/xhtml");
  const svg = element("http://www.w3.org/2000/svg");
  const minus = (text) => String(text).replace(/-(?=\d)/g, "−");

  // A picture with axes. Its size is in CSS pixels where the figure has the width of a phone.
  class Axes {
    constructor(words, { width, height, left, right, top, bottom }) {
      this.element = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words });
      Object.assign(this, { left, right: width - right, top, bottom: height - bottom });
    }

    // The places of a number along the two axes, which end at the limits.
    scale([x0, x1], [y0, y1]) {
      const at = (from, to, a, b) => (v) => from + ((to - from) * (Math.min(Math.max(v, a), b) - a)) / (b - a);
      this.x = at(this.left, this.right, x0, x1);
      this.y = at(this.bottom, this.top, y0, y1);
    }

    clear() {
      this.element.replaceChildren();
      this.names = [];
    }

    add(name, attributes, ...children) {
      this.element.append(svg(name, attributes, ...children));
    }

    text(x, y, words, attributes = {}) {
      this.add("text", { x, y, ...attributes }, minus(words));
    }

    line(from, to, kind, name = "live-line") {
      this.add("path", { d: `M${from}L${to}`, class: name, "data-kind": kind });
    }

    // Marks along the axes, each with what is written there, and the names of both axes.
    frame(xs, ys, xname, yname) {
      for (const [x, words] of xs) {
        this.line([this.x(x), this.top], [this.x(x), this.bottom], "grid");
        this.text(this.x(x), this.bottom + 14, words, { "text-anchor": "middle" });
      }
      for (const [y, words] of ys) {
        this.line([this.left, this.y(y)], [this.right, this.y(y)], "grid");
        this.text(this.left - 4, this.y(y) + 4, words, { "text-anchor": "end" });
      }
      this.text((this.left + this.right) / 2, this.bottom + 29, xname, { "text-anchor": "middle" });
      this.text(2, this.top - 8, yname);
    }

    // A line through points, with its name at its end.
    curve(points, kind, name) {
      const places = points.map(([x, y]) => `${this.x(x).toFixed(1)},${this.y(y).toFixed(1)}`);
      this.add("polyline", { points: places.join(" "), class: "live-line", "data-kind": kind });
      const end = this.y(points.at(-1)[1]);
      if (name) this.names.push({ end, y: end, name, kind });
    }

    // Write the names of the curves beside their ends, one below the other, each at the end of a short line.
    nameCurves() {
      const names = this.names.sort((one, other) => one.y - other.y);
      names.forEach((name, i) => i && (name.y = Math.max(name.y, names[i - 1].y + 14)));
      names.reduceRight((limit, name) => (name.y = Math.min(name.y, limit)) - 14, this.bottom + 4);
      for (const { end, y, name, kind } of names) {
        this.line([this.right, end], [this.right + 12, y], kind);
        this.text(this.right + 15, y + 4, name);
      }
    }

    // The mark of a start at a place: a circle, a diamond or a triangle.
    mark([x, y], kind) {
      const shape = { zeros: "a5,5 0 1 0 .1,0z", tied: "l6,6l-6,6l-6,-6z", random: "l5.5,10h-11z" }[kind];
      const d = `M${this.x(x).toFixed(1)},${(this.y(y) - 5).toFixed(1)}${shape}`;
      this.add("path", { d, class: "live-mark", "data-kind": kind });
    }

    // Units as marks in the plane of their two weights. Equal units share one, and ×16 says how many.
    units(weights, kind) {
      const dots = new Map();
      for (let i = 0; i < weights.length; i += 2) {
        const key = `${weights[i]},${weights[i + 1]}`;
        dots.set(key, (dots.get(key) ?? 0) + 1);
      }
      for (const [key, count] of dots) {
        const [x, y] = key.split(",").map(Number);
        this.mark([x, y], kind);
        if (count > 1) this.text(this.x(x) + 9, this.y(y) - 6, `×${count}`);
      }
      return dots.size;
    }
  }

  class Figure {
    constructor(place) {
      this.place = place;
      this.controls = html("fieldset");
      this.pictures = html("div", { class: "live-pictures" });
      this.output = html("output", { "aria-live": "polite" });
      place.append(this.controls, this.pictures, this.output);
    }

    // What throws takes the figure away: the still of the page is there.
    guard(action) {
      return (...given) => {
        try {
          return action(...given);
        } catch (error) {
          this.place.remove();
          throw error;
        }
      };
    }

    legend(words) {
      this.controls.append(html("legend", {}, words));
    }

    button(words, press) {
      const button = html("button", { type: "button" }, words);
      button.addEventListener("click", this.guard(press));
      this.controls.append(button);
      return button;
    }

    // A slider; `name` says in words what a value of it is.
    slider(words, { min, max, value }, name, change) {
      const input = html("input", { type: "range", min, max, value });
      const now = html("span");
      const show = () => {
        now.textContent = name(Number(input.value));
        input.setAttribute("aria-valuetext", now.textContent);
        change(Number(input.value));
      };
      this.controls.append(html("label", {}, `${words} `, now, input));
      input.addEventListener("input", this.guard(show));
      show();
    }

    // A menu of texts by their values.
    menu(words, choices, choose) {
      const options = Object.entries(choices).map(([value, text]) => html("option", { value }, text));
      const select = html("select", {}, ...options);
      select.addEventListener("change", this.guard(() => choose(select.value)));
      this.controls.append(html("label", {}, `${words} `, select));
    }

    axes(words, size) {
      const axes = new Axes(words, size);
      this.pictures.append(axes.element);
      return axes;
    }

    // Axes of curves over steps, with room for names at the right.
    plot(words) {
      return this.axes(words, { width: 320, height: 220, left: 38, right: 104, top: 22, bottom: 36 });
    }

    // The plane of the two weights of a unit; `scalePlane` draws its axes, up to ±reach.
    plane(words) {
      return this.axes(words, { width: 220, height: 220, left: 4, right: 4, top: 4, bottom: 4 });
    }

    say(words) {
      this.output.textContent = minus(words);
    }

    // Draw every moment from 0 to the last, in a second; readers who want less motion see the last.
    animate(last, draw) {
      cancelAnimationFrame(this.next);
      if (matchMedia("(prefers-reduced-motion: reduce)").matches) return draw(last);
      const began = performance.now();
      const frame = this.guard((now) => {
        const moment = Math.min(last, Math.max(0, Math.round((last * (now - began)) / 1000)));
        draw(moment);
        if (moment < last) this.next = requestAnimationFrame(frame);
      });
      frame(began);
    }
  }

  // Show the live figures of a name, each built by a function of its Figure.
  live.figure = (name, build) => {
    for (const place of document.querySelectorAll(`[data-live="${name}"]`)) {
      const figure = new Figure(place);
      figure.guard(build)(figure);
      place.hidden = false;
    }
  };

  // A power of ten with a whole exponent.
  live.power = (exponent) => `10${[...String(exponent)].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("")}`;

  // The axes of a plane of weights that reaches from -reach to reach.
  live.scalePlane = (axes, reach) => {
    axes.scale([-reach, reach], [-reach, reach]);
    axes.line([axes.left, axes.y(0)], [axes.right, axes.y(0)], "grid");
    axes.line([axes.x(0), axes.top], [axes.x(0), axes.bottom], "grid");
    axes.text(axes.left + 4, axes.top + 12, phrase("↑ weight from x₂"));
    axes.text(axes.right - 4, axes.bottom - 6, phrase("weight from x₁ →"), { "text-anchor": "end" });
    axes.text(axes.right, axes.y(0) - 5, reach, { "text-anchor": "end" });
  };
})();
