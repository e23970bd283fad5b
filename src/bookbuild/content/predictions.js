// Questions with choices: a press says whether it is right, and why. The choices, by the ids of their
// questions, are kept in this browser; where its storage is blocked or full, nothing is remembered.
(() => {
  const KEY = "predictions";

  const kept = () => {
    try {
      return JSON.parse(localStorage.getItem(KEY)) ?? {};
    } catch {
      return {};
    }
  };
  const keep = (choices) => {
    try {
      localStorage.setItem(KEY, JSON.stringify(choices));
    } catch {}
  };

  for (const field of document.querySelectorAll(".predict")) {
    const [list, reasons] = field.querySelectorAll("ol");
    const again = field.lastElementChild;
    const right = field.dataset.answer - 1;
    const why = [...reasons.children];
    const buttons = [...list.children].map((item) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = item.textContent.trim();
      item.replaceChildren(button);
      return button;
    });

    const show = (chosen) => {
      const open = !buttons[chosen];
      buttons.forEach((button, k) => {
        button.ariaPressed = k === chosen;
        button.disabled = !open && k !== chosen;
        button.className = open || (k !== chosen && k !== right) ? "" : k === right ? "right" : "wrong";
        why[k].hidden = !button.className;
        why[k].value = k + 1;
      });
      if (!open) reasons.prepend(why[chosen]);
      again.hidden = open;
    };
    buttons.forEach((button, k) => {
      button.onclick = () => {
        keep({ ...kept(), [field.id]: k });
        show(k);
      };
    });
    again.onclick = () => {
      keep({ ...kept(), [field.id]: undefined });
      show();
      buttons[0].focus();
    };

    show(kept()[field.id]);
    const said = document.createElement("div");
    said.role = "status";
    said.append(reasons);
    field.querySelector("details").replaceWith(said);
  }

  const tally = document.querySelector(".tally");
  if (!tally) return;
  const lists = [...document.querySelectorAll(".predicted")];
  const count = () => {
    const choices = kept();
    const chosen = lists.map((list) => list.children[choices[list.dataset.question]]);
    lists.forEach((list, k) => {
      for (const item of list.children) item.hidden = item !== chosen[k];
      list.hidden = !chosen[k];
    });
    const [answered, right] = tally.querySelectorAll("b");
    answered.textContent = chosen.filter(Boolean).length;
    right.textContent = chosen.filter((item) => item?.className === "right").length;
  };
  tally.querySelector("button").onclick = () => {
    keep({});
    count();
  };
  tally.hidden = false;
  count();
})();
