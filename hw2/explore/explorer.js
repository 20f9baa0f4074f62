// The page's side of an explorer: controls, what is said of their values, and pictures, which the kernel draws
// (widgets.py). The controls are the browser's own, so keyboard, touch and screen readers work as anywhere else.

const NOTE = "The sliders need a running kernel: after a restart, run this notebook's cells again.";
const SILENCE = "No answer yet: the kernel is busy, or was restarted.";
const PATIENCE = 5000; // milliseconds without an answer until it is said: a first picture takes 0.1 s

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A slider's value in words: a stop's own, or the number with as many digits as its step has, and its unit.
function words({texts, step, signed, unit}, value) {
  if (texts) return texts[value];
  const digits = (String(step).split(".")[1] ?? "").length;
  const sign = signed && value > 0 ? "+" : "";
  return `${sign}${value.toFixed(digits).replace("-", "−")}${unit ? ` ${unit}` : ""}`;
}

// Each kind of control: its elements, and a function that shows a value. `set` tells the kernel a new one.
const kinds = {
  slider(control, id, set) {
    const {min, max, step, tip} = control;
    const input = make("input", {type: "range", id, min, max, step, title: tip});
    const output = make("output", {for: id, "aria-hidden": true}); // the slider itself announces it
    const show = (value) => {
      input.value = value;
      output.textContent = words(control, value);
      input.setAttribute("aria-valuetext", control.spoken?.[value] ?? output.textContent);
    };
    input.addEventListener("input", () => {
      show(input.valueAsNumber);
      set(input.valueAsNumber);
    });
    return [[input, output], show];
  },

  number({tip, more}, id, set) {
    const max = 1e9;
    const input = make("input", {type: "number", id, min: 0, max, step: 1, title: tip});
    let last; // the one that counts: what is being typed may be none
    const tell = (value) => set(last = value);
    const show = (value) => { if (input.valueAsNumber !== value) input.value = value; };
    input.addEventListener("input", () => {
      if (input.reportValidity() && input.value !== "") tell(input.valueAsNumber);
    });
    const button = more ? [make("button", {type: "button"}, more)] : [];
    button[0]?.addEventListener("click", () => {
      tell(last < max ? last + 1 : 0);
      show(last);
    });
    return [[input, ...button], (value) => show(last = value)];
  },

  menu({texts, tip}, id, set) {
    const input = make("select", {id, title: tip}, ...texts.map((text) => make("option", {}, text)));
    input.addEventListener("change", () => set(input.selectedIndex));
    return [[input], (value) => { input.selectedIndex = value; }];
  },

  radio({texts, tip}, id, set) {
    const inputs = texts.map((_, i) => make("input", {type: "radio", name: id, value: i}));
    inputs.forEach((input, i) => input.addEventListener("change", () => set(i)));
    const labels = inputs.map((input, i) => make("label", {}, input, texts[i]));
    const group = make("span", {role: "radiogroup", "aria-labelledby": `${id}-label`, title: tip}, ...labels);
    return [[group], (value) => { inputs[value].checked = true; }];
  },
};

function render({model, el}) {
  const view = `hw2-${Math.random().toString(36).slice(2)}`; // the same explorer may be shown twice on a page
  const note = make("p", {class: "hw2-note"}, NOTE);
  const status = make("p", {class: "hw2-status", role: "status"});
  const form = make("div", {class: "hw2-controls"});
  const said = make("dl", {class: "hw2-said"});
  const pictures = make("div", {class: "hw2-pictures"});
  let waiting;

  const showers = {};
  for (const control of model.get("controls")) {
    const {name, label, kind, beside} = control;
    const id = `${view}-${name}`;
    const [elements, show] = kinds[kind](control, id, (value) => {
      model.set("values", {...model.get("values"), [name]: value});
      model.save_changes();
      showStatus();
    });
    showers[name] = show;
    const named = kind === "radio" ? make("span", {id: `${id}-label`}, label) : make("label", {for: id}, label);
    if (!beside) form.append(make("div", {class: "hw2-row"}));
    form.lastChild.append(make("span", {class: "hw2-control"}, named, ...elements));
  }

  // An answer to other values is none. Values that were answered already get no second answer.
  const showStatus = () => {
    const {values, problem} = model.get("shown");
    clearTimeout(waiting);
    const answered = Object.entries(model.get("values")).every(([name, value]) => values[name] === value);
    if (answered) status.textContent = problem;
    else waiting = setTimeout(() => { status.textContent = SILENCE; }, PATIENCE);
  };
  const showValues = () => Object.entries(model.get("values")).forEach(([name, value]) => showers[name](value));
  const showAnswer = () => {
    const shown = model.get("shown");
    showStatus();
    const rows = shown.said.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text)));
    said.replaceChildren(...rows);
    shown.pictures.forEach((bytes, i) => {
      const image = pictures.children[i] ?? pictures.appendChild(make("img"));
      const before = image.src;
      image.alt = shown.alts[i];
      image.src = URL.createObjectURL(new Blob([bytes], {type: "image/png"}));
      if (before) URL.revokeObjectURL(before);
    });
  };

  el.classList.add("hw2-explorer");
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", model.get("title"));
  el.append(note, form, said, status, pictures);
  for (const part of form.querySelectorAll("input, select, button")) {
    part.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab's: or an arrow key moves to another cell
  }
  showValues();
  showAnswer();
  model.on("change:values", showValues);
  model.on("change:shown", showAnswer);
  return () => {
    clearTimeout(waiting);
    model.off("change:values", showValues);
    model.off("change:shown", showAnswer);
    for (const image of pictures.children) URL.revokeObjectURL(image.src);
  };
}

export default {render};
