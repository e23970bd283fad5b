// The player below a figure of many frames: the image's address ends in the name of the frame shown.
for (const film of document.querySelectorAll(".film")) {
  let image = film.parentElement.querySelector("img");
  const [play, step] = film.querySelectorAll("button");
  const slider = film.querySelector("input");
  const words = film.querySelector("output");
  const said = [...film.querySelectorAll("li")].map((item) => item.textContent);
  const still = image.src;
  const last = said.length - 1;
  let clock = 0;

  // WebKit draws another frame only in a new element; Firefox draws a lazy one late.
  const draw = (address) => {
    const next = image.cloneNode();
    if (image.complete) next.loading = "eager";
    next.src = address;
    image.replaceWith(next);
    image = next;
  };
  const show = (frame) => {
    slider.value = frame;
    slider.setAttribute("aria-valuetext", said[frame]);
    words.textContent = said[frame];
    draw(`${still}#frame-${frame}`);
  };
  const pause = () => {
    clearInterval(clock);
    clock = 0;
    play.textContent = phrase("Play");
    words.ariaLive = "polite";
  };
  const go = (frame) => {
    pause();
    show(frame > last ? 0 : frame);
  };

  play.onclick = () => {
    if (clock) return pause();
    show(+slider.value < last ? +slider.value : 0);
    play.textContent = phrase("Pause");
    words.ariaLive = "off";
    clock = setInterval(() => {
      show(+slider.value + 1);
      if (+slider.value === last) pause();
    }, Math.min(1200, 8000 / last));
  };
  step.onclick = () => go(+slider.value + 1);
  slider.oninput = () => go(+slider.value);
  addEventListener("beforeprint", () => draw(still));
  addEventListener("afterprint", () => show(+slider.value));
  film.hidden = false;
  show(0);
}
