// The four explorers of panels.html. An anywidget module: `render({model, el})` fills the element `el`, and
// `model.get(name)` gives what page.py wrote under that name. No framework, nothing loaded: a network is a list of
// layers, and plain loops decode 36 images in some twenty milliseconds.

const SIDE = 28;
const PIXELS = SIDE * SIDE;

// ---- numbers, from base64

function bytes(text) {
  const binary = atob(text);
  const array = new Uint8Array(binary.length);
  for (let i = 0; i < array.length; i++) array[i] = binary.charCodeAt(i);
  return array;
}

const floats = (text) => new Float32Array(bytes(text).buffer);
const pixels = (text) => Float32Array.from(bytes(text), (v) => v / 255);

// Every float16 as a float32: five bits of exponent, ten of fraction.
const HALF = Float32Array.from({ length: 65536 }, (_, h) => {
  const sign = h & 0x8000 ? -1 : 1;
  const exponent = (h >> 10) & 31;
  const fraction = (h & 1023) / 1024;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
});

function halves(text) {
  const codes = new Uint16Array(bytes(text).buffer);
  const array = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) array[i] = HALF[codes[i]];
  return array;
}

// ---- networks. x holds n rows, one after the other

function unpacked(layers) {
  return layers.map((layer) => ({
    ...layer,
    weight: (layer.exact ? floats : halves)(layer.weight), // a row of `outputs` numbers for each input
    bias: floats(layer.bias),
    modulation: layer.modulation && unpacked([layer.modulation])[0],
  }));
}

function linear({ weight, bias, outputs }, x, n) {
  const inputs = weight.length / outputs;
  const result = new Float32Array(n * outputs);
  for (let row = 0; row < n; row++) {
    const y = result.subarray(row * outputs, (row + 1) * outputs);
    y.set(bias);
    for (let i = 0; i < inputs; ) {
      const [v, at] = [[0, 0, 0, 0], [0, 0, 0, 0]]; // the next four that are not 0: most pixels are, after a ReLU most are
      for (let k = 0; k < 4 && i < inputs; i++) {
        const value = x[row * inputs + i];
        if (value !== 0) { v[k] = value; at[k++] = i * outputs; }
      }
      const [[va, vb, vc, vd], [a, b, c, d]] = [v, at];
      for (let o = 0; o < outputs; o++)
        y[o] += va * weight[a + o] + vb * weight[b + o] + vc * weight[c + o] + vd * weight[d + o];
    }
  }
  return result;
}

const AFTER = {
  "": (v) => v,
  relu: (v) => (v > 0 ? v : 0),
  tanh: Math.tanh,
  sigmoid: (v) => 1 / (1 + Math.exp(-v)),
};

// What follows the matrix: in a network for every β a scale and a shift, then the bend.
function finished(layer, y, embedded) {
  if (layer.modulation) {
    const { outputs } = layer;
    const m = linear(layer.modulation, embedded, 1);
    for (let k = 0; k < y.length; k++) y[k] = (1 + m[k % outputs]) * y[k] + m[outputs + (k % outputs)];
  }
  const bend = AFTER[layer.after];
  for (let k = 0; k < y.length; k++) y[k] = bend(y[k]);
  return y;
}

const run = (layers, x, n, embedded) =>
  layers.reduce((h, layer) => finished(layer, linear(layer, h, n), embedded), x);

// One network for every β, hw2.ConditionedVAE. at(β): its encoder, n × (μ, log σ²), and its decoder, n × 784.
function conditioned(data) {
  const [embedding, encoder, decoder] = ["embedding", "encoder", "decoder"].map((part) => unpacked(data[part]));
  const [low, high] = data.betas.map(Math.log);
  const at = (beta) => {
    const standardised = (Math.log(beta) - (low + high) / 2) / ((high - low) / Math.sqrt(12));
    const embedded = run(embedding, Float32Array.of(standardised), 1);
    return {
      encode: (x, n) => run(encoder, x, n, embedded),
      // for images whose first product, which β does not change, is known
      encodeFrom: (first, n) => run(encoder.slice(1), finished(encoder[0], first.slice(), embedded), n, embedded),
      decode: (z, n) => run(decoder, z, n, embedded),
    };
  };
  return { at, betas: data.betas, curve: data.curve, first: (x, n) => linear(encoder[0], x, n) };
}

// μ and σ of n clouds in D dimensions, from n × (μ, log σ²).
function clouds(codes, n, D) {
  const mu = new Float32Array(n * D);
  const sigma = new Float32Array(n * D);
  for (let k = 0; k < n * D; k++) {
    const at = Math.floor(k / D) * 2 * D + (k % D);
    mu[k] = codes[at];
    sigma[k] = Math.exp(0.5 * codes[at + D]);
  }
  return { mu, sigma };
}

const kl = (mu, sigma) => 0.5 * (mu * mu + sigma * sigma - 1) - Math.log(sigma); // nats, of one dimension

// ---- what is seen and said

// Images in rows with grey lines between, pixel 0 black and 1 white. CSS enlarges it, with square pixels.
function paint(canvas, images, columns) {
  const n = images.length / PIXELS;
  const gap = n > 1 ? 1 : 0;
  const step = SIDE + gap;
  canvas.width = columns * step + gap;
  canvas.height = Math.ceil(n / columns) * step + gap;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  const grey = picture.data.fill(128);
  for (let i = 3; i < grey.length; i += 4) grey[i] = 255;
  for (let k = 0; k < images.length; k++) {
    const image = Math.floor(k / PIXELS);
    const row = Math.floor(image / columns) * step + gap + Math.floor((k % PIXELS) / SIDE);
    const column = (image % columns) * step + gap + (k % SIDE);
    const at = 4 * (row * canvas.width + column);
    grey[at] = grey[at + 1] = grey[at + 2] = Math.round(255 * images[k]);
  }
  context.putImageData(picture, 0, 0);
}

function svg(tag, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

function html(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const short = (v, digits = 2) => String(Number(v.toPrecision(digits))).replace("e-0", "e-");
// A β that somebody chose is written as it is; one from the middle of a slider to two digits.
const digitsOf = (beta) => (Number(beta.toPrecision(3)) === beta ? 3 : 2);
const betaText = (beta) => {
  const rounded = Number(beta.toPrecision(digitsOf(beta)));
  return beta > 0 && beta < 1e-4 ? rounded.toExponential().replace("e-0", "e-") : short(rounded, 3);
};
const price = (beta) => short(784 * beta, digitsOf(beta));
const spoken = (beta) => `β ${betaText(beta)}, ${price(beta)} squared error per nat`;
const fixed = (v) => (Math.round(100 * v) / 100 + 0).toFixed(2); // without a minus before 0.00

// The parts of one panel: its controls, its pictures, its table, and a line that only a screen reader hears.
function parts(el, name) {
  const panel = el.querySelector(`[data-panel="${name}"]`);
  const heard = panel.appendChild(html("p", { className: "heard" }));
  heard.setAttribute("role", "status");
  let timer;
  return {
    panel,
    control: (what) => panel.querySelector(`[data-control="${what}"]`),
    picture: (what) => panel.querySelector(`[data-picture="${what}"]`),
    say(table) {
      const rows = Object.entries(table).map(([dt, dd]) =>
        html("div", {}, html("dt", { textContent: dt }), html("dd", { textContent: dd })));
      panel.querySelector("[data-said]").replaceChildren(...rows);
      clearTimeout(timer); // once the slider rests
      timer = setTimeout(() => (heard.textContent = Object.entries(table).flat().join(" ")), 700);
    },
  };
}

// Draws once per frame at most, however fast a slider moves: nothing queues.
function perFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

function slider(input, text, changed, settings = {}) {
  Object.assign(input, settings);
  const named = () => input.setAttribute("aria-valuetext", text(Number(input.value)));
  input.addEventListener("input", () => { named(); changed(); });
  named();
  return { input, get value() { return Number(input.value); }, set value(v) { input.value = v; named(); } };
}

// A slider over log β, and beside it, as `choice`, the networks that know one β only.
function betaSlider(input, network, start, changed) {
  const [min, max] = network.betas.map(Math.log10);
  const toBeta = (v) => Math.min(Math.max(10 ** v, network.betas[0]), network.betas[1]);
  const settings = { min, max, step: 0.005, value: Math.log10(start) };
  const log = slider(input, (v) => spoken(toBeta(v)), changed, settings);
  return {
    get value() { return toBeta(log.value); },
    set value(b) { log.value = Math.log10(b); },
    set resting(yes) { input.classList.toggle("resting", yes); }, // while another network is shown
  };
}

function choices(fieldset, name, options, changed) {
  const inputs = options.map(({ beta }) => {
    const input = html("input", { type: "radio", name, value: beta });
    input.setAttribute("aria-label", spoken(beta));
    input.addEventListener("change", changed);
    fieldset.append(html("label", { className: "choice" }, input, html("span", { textContent: `β = ${betaText(beta)}` })));
    return input;
  });
  return {
    get chosen() { return options[inputs.findIndex((input) => input.checked)]; },
    clear() { for (const input of inputs) input.checked = false; },
  };
}

// Error, rate and so on at a β between those at which they were measured: linear in log β.
function between(curve, beta) {
  const after = Math.max(1, curve.findIndex((row) => row.beta >= beta * (1 - 1e-9)));
  const [a, b] = [curve[after - 1], curve[after]];
  const t = Math.log(beta / a.beta) / Math.log(b.beta / a.beta);
  const mix = (name) => a[name] + t * (b[name] - a[name]);
  return { beta, error: mix("error"), rate: mix("rate"), active: Math.round(mix("active")) };
}

const measures = ({ beta, error, rate }) => ({
  β: betaText(beta),
  "784 β (both summed)": price(beta),
  "squared error": error.toFixed(1),
  rate: `${rate.toFixed(1)} nats`,
});

// ---- β

function betaPanel(el, model, network, digits) {
  const { panel, control, picture, say } = parts(el, "beta");
  const trained = model.get("trained");
  const z = floats(model.get("z"));
  const dimensions = z.length / 20;
  const x = digits.images.slice(0, 10 * PIXELS);
  const place = rateDistortion(picture("curve"), network.curve, trained);
  paint(picture("digits"), x, 10);
  const draw = () => {
    const one = choice.chosen;
    const beta = one ? one.beta : log.value;
    log.resting = Boolean(one);
    let images = one && pixels(one.images);
    if (!one) {
      const { encode, decode } = network.at(beta);
      const { mu } = clouds(encode(x, 10), 10, dimensions);
      const codes = new Float32Array(30 * dimensions);
      codes.set(mu);
      codes.set(z, mu.length);
      images = decode(codes, 30);
    }
    paint(picture("reconstructions"), images.subarray(0, 10 * PIXELS), 10);
    paint(picture("samples"), images.subarray(10 * PIXELS), 10);
    const entry = one ?? between(network.curve, beta);
    place(entry);
    say({ ...measures(entry), active: `${entry.active} of ${dimensions}`, network: one ? "this β only" : "for every β" });
    const at = `at β = ${betaText(beta)}`;
    picture("reconstructions").setAttribute("aria-label", `The ten test digits painted again ${at}`);
    picture("samples").setAttribute("aria-label", `Twenty decoded draws from the prior ${at}`);
    picture("curve").setAttribute("aria-label",
      `Squared error against rate. ${at}: error ${entry.error.toFixed(1)}, rate ${entry.rate.toFixed(1)} nats, slope ${short(-784 * beta)}`);
  };
  const soon = perFrame(draw);
  const choice = choices(control("trained"), "hw2-trained", trained, () => {
    const { beta } = choice.chosen;
    if (beta >= network.betas[0] && beta <= network.betas[1]) log.value = beta;
    soon();
  });
  const log = betaSlider(control("beta"), network, 1e-3, () => { choice.clear(); soon(); });
  draw();
  return panel;
}

// The chart of error against rate. Returns what moves the ring, and the line of slope −784 β through it.
function rateDistortion(chart, curve, trained) {
  const priced = [...curve, ...trained.filter(({ beta }) => beta > 0)];
  const right = 1.1 * Math.max(...priced.map(({ rate }) => rate));
  const top = 1.1 * Math.max(...priced.map(({ error }) => error));
  const [x, y] = [(rate) => 44 + (326 * rate) / right, (error) => 262 - (250 * error) / top];
  const line = (kind, x1, y1, x2, y2) => chart.appendChild(svg("line", { class: kind, x1, y1, x2, y2 }));
  const write = (text, at, up, anchor = "middle", more = {}) =>
    chart.append(svg("text", { x: at, y: up, "text-anchor": anchor, ...more }, text));
  for (let v = 0; v < top; v += 10) { line("grid", 44, y(v), 370, y(v)); write(v, 38, y(v) + 4, "end"); }
  const step = [0.2, 0.5, 1, 2, 5, 10, 20, 50].find((v) => right / v < 12) ?? 100;
  for (let v = 0; v < right; v += step) { line("grid", x(v), 12, x(v), 262); write(short(v, 3), x(v), 277); }
  line("axis", 44, 262, 370, 262);
  line("axis", 44, 12, 44, 262);
  write("rate: KL in nats per image", 207, 295);
  write("squared error per image", 12, 137, "middle", { transform: "rotate(-90 12 137)" });
  chart.append(svg("polyline", { class: "curve", points: curve.map((row) => `${x(row.rate)},${y(row.error)}`).join(" ") }));
  for (const { beta, rate, error, color } of trained) {
    if (rate <= right) {
      chart.append(svg("circle", { class: "dot", cx: x(rate), cy: y(error), r: 4.5, fill: color }));
      write(betaText(beta), x(rate) + 7, y(error) - 3, "start", { class: "beta" });
    }
    else write(`β = ${betaText(beta)}: ${rate.toFixed(0)} nats, error ${error.toFixed(1)} →`, 366, 256, "end", { class: "beta" });
  }
  const tangent = line("tangent", 0, 0, 0, 0);
  const ring = chart.appendChild(svg("circle", { class: "ring", r: 8 }));
  return ({ beta, rate, error }) => {
    const inside = rate <= right;
    const at = [x(Math.min(rate, right)), y(error)];
    const along = [326 / right, (784 * beta * 250) / top]; // the slope as it is drawn: down for each nat
    const reach = 70 / Math.hypot(...along);
    const ends = { x1: at[0] - reach * along[0], y1: at[1] - reach * along[1], x2: at[0] + reach * along[0], y2: at[1] + reach * along[1] };
    for (const [name, value] of Object.entries(ends)) tangent.setAttribute(name, value);
    tangent.setAttribute("visibility", inside ? "visible" : "hidden");
    ring.setAttribute("cx", at[0]);
    ring.setAttribute("cy", at[1]);
  };
}

// ---- the plane

// Ellipses at one σ in a square from −limit to limit, over the prior's circles. An ellipse too small to be seen is a dot.
function drawClouds(square, { mu, sigma }, limit, colors, mine) {
  square.setAttribute("viewBox", `${-limit} ${-limit} ${2 * limit} ${2 * limit}`);
  while (square.childElementCount < colors.length + 3) square.append(svg("ellipse"));
  for (let i = 0; i < colors.length + 3; i++) {
    const cloud = i < colors.length;
    const r = i - colors.length + 1;
    const attributes = cloud
      ? { class: "cloud", cx: mu[2 * i], cy: -mu[2 * i + 1], rx: Math.max(sigma[2 * i], limit / 150), ry: Math.max(sigma[2 * i + 1], limit / 150), fill: colors[i], stroke: colors[i] }
      : { class: "prior", cx: 0, cy: 0, rx: r, ry: r };
    for (const [name, value] of Object.entries(attributes)) square.children[i].setAttribute(name, value);
  }
  for (const old of square.querySelectorAll(".mine, .pointer, .pointer-edge")) old.remove();
  square.append(...mine);
}

const pointer = (z1, z2, limit) =>
  ["pointer-edge", "pointer"].map((kind) => svg("circle", { class: kind, cx: z1, cy: -z2, r: limit / 22 }));

function legend(panel, classes) {
  panel.querySelector("[data-legend]").append(...classes.map((color, label) => {
    const dot = html("i");
    dot.style.background = color;
    return html("span", {}, dot, String(label));
  }));
}

function planePanel(el, model, network, digits, classes) {
  const { panel, control, picture, say } = parts(el, "plane");
  const n = model.get("ellipses");
  const colors = digits.labels.slice(0, n).map((label) => classes[label]);
  const first = network.first(digits.images.subarray(0, n * PIXELS), n);
  const ends = model.get("planes");
  const across = 11; // images on a side of the painted square
  let square = null; // what is drawn: the β's decoder, and how far the square reaches
  legend(panel, classes);

  const drawSquare = () => {
    const one = choice.chosen;
    if (one && !one.layers) one.layers = unpacked(one.decoder);
    const beta = one ? one.beta : log.value;
    log.resting = Boolean(one);
    const { encodeFrom, decode } = one ? { decode: (z, m) => run(one.layers, z, m) } : network.at(beta);
    const limit = one ? one.limit : 3.2;
    if (limit !== square?.limit)
      for (const z of [z1, z2]) {
        const was = z.value;
        Object.assign(z.input, { min: -limit, max: limit, step: limit / 80 });
        z.value = was; // as near as the new ends let it, and said so
      }
    square = { limit, decode, entry: one ?? between(network.curve, beta), painted: false };
    drawClouds(picture("ellipses"), clouds(one ? floats(one.codes) : encodeFrom(first, n), n, 2), limit, colors, []);
    drawPoint();
    later(); // the digit first, the hundred and more pictures of the square in the next frame
  };
  const later = perFrame(() => {
    const z = new Float32Array(2 * across * across);
    for (let k = 0; k < across * across; k++) {
      z[2 * k] = square.limit * ((2 * (k % across) + 1) / across - 1);
      z[2 * k + 1] = -square.limit * ((2 * Math.floor(k / across) + 1) / across - 1);
    }
    paint(picture("painted"), square.decode(z, across * across), across);
  });
  const drawPoint = () => {
    const { limit, decode, entry } = square;
    paint(picture("digit"), decode(Float32Array.of(z1.value, z2.value), 1), 1);
    const over = picture("over");
    over.setAttribute("viewBox", `${-limit} ${-limit} ${2 * limit} ${2 * limit}`);
    over.replaceChildren(...[1, 2, 3].map((r) => svg("circle", { class: "prior", cx: 0, cy: 0, r })), ...pointer(z1.value, z2.value, limit));
    for (const old of picture("ellipses").querySelectorAll(".pointer, .pointer-edge")) old.remove();
    picture("ellipses").append(...pointer(z1.value, z2.value, limit));
    const at = `(${fixed(z1.value)}, ${fixed(z2.value)})`;
    say({ ...measures(entry), z: at, "square from": `−${short(limit)} to ${short(limit)}` });
    picture("digit").setAttribute("aria-label", `What the decoder paints at z = ${at}`);
    picture("painted").setAttribute("aria-label", `Decoded grid of ${across} by ${across} points at β = ${betaText(entry.beta)}`);
    picture("ellipses").setAttribute("aria-label", `Clouds of ${n} test digits at β = ${betaText(entry.beta)}, rate ${entry.rate.toFixed(1)} nats`);
  };
  const soon = perFrame(drawSquare);
  const pointSoon = perFrame(drawPoint);
  const [z1, z2] = ["z1", "z2"].map((name) =>
    slider(control(name), (v) => `${fixed(v)} standard deviations of the prior`, pointSoon, { min: -3.2, max: 3.2, step: 0.04, value: 0 }));
  const choice = choices(control("ends"), "hw2-ends", ends, () => { play(false); soon(); });
  const log = betaSlider(control("beta"), network, 1e-3, () => { play(false); choice.clear(); soon(); });

  for (const area of panel.querySelectorAll('[data-control="point"]'))
    for (const kind of ["pointerdown", "pointermove"])
      area.addEventListener(kind, (event) => {
        const box = area.getBoundingClientRect();
        const { limit } = square;
        z1.value = limit * ((2 * (event.clientX - box.left)) / box.width - 1);
        z2.value = -limit * ((2 * (event.clientY - box.top)) / box.height - 1);
        pointSoon();
      });

  const button = control("play");
  const [low, high] = network.betas;
  let [playing, beta, last] = [false, 0, 0];
  const play = (on) => {
    if (on === playing) return;
    playing = on;
    button.textContent = on ? "Pause" : "Play";
    [beta, last] = [log.value, performance.now()];
    if (on) requestAnimationFrame(tick);
  };
  const tick = (now) => { // from end to end in ten seconds, on machines of any speed
    if (!playing) return;
    const seconds = Math.min(Math.max(now - last, 0) / 1000, 0.2);
    last = now;
    beta = Math.min(beta * (high / low) ** (seconds / 10), high);
    log.value = beta;
    drawSquare();
    if (beta === high) play(false);
    else requestAnimationFrame(tick);
  };
  button.addEventListener("click", () => {
    if (!playing && (choice.chosen || log.value >= high * 0.98)) log.value = low; // its last step may end before high
    choice.clear();
    play(!playing);
  });
  drawSquare();
}

// ---- interpolation

function walkPanel(el, model, digits, colors) {
  const { control, picture } = parts(el, "walk");
  const hundred = model.get("hundred");
  const image = (k) => digits.images.subarray(hundred[k] * PIXELS, (hundred[k] + 1) * PIXELS);
  const models = Object.entries(model.get("walks")).map(([name, { codes, decoder }]) => {
    const z = floats(codes);
    const D = z.length / hundred.length;
    const layers = unpacked(decoder);
    return { name, label: name === "AE" ? "autoencoder" : "VAE", code: (k) => z.subarray(k * D, (k + 1) * D), decode: (zs, n) => run(layers, zs, n) };
  });
  models.push({ name: "blend", label: "pixel blend, no network", code: image, decode: (x) => x });
  const line = (a, b, ts) => Float32Array.from({ length: ts.length * a.length }, (_, k) => {
    const [t, i] = [ts[Math.floor(k / a.length)], k % a.length];
    return (1 - t) * a[i] + t * b[i];
  });
  const rows = picture("rows");
  const canvases = models.map(({ name, label }) => {
    const title = html("span", { className: "name", textContent: label });
    title.style.borderColor = colors[name];
    const strip = html("canvas"), there = html("canvas");
    for (const [canvas, what] of [[strip, "strip"], [there, "there"]]) {
      canvas.dataset.picture = `${name} ${what}`;
      canvas.setAttribute("role", "img");
    }
    rows.append(title, html("span", { className: "at" }), strip, there);
    return { strip, there };
  });
  const draw = () => {
    const [a, b] = [Number(from.value), Number(to.value)];
    const n = steps.value;
    const ts = Array.from({ length: n }, (_, i) => i / (n - 1));
    rows.style.gridTemplateColumns = `minmax(0, ${n * 29 + 1}fr) minmax(0, 28fr)`; // so that all digits have one size
    models.forEach(({ label, code, decode }, i) => {
      const images = decode(line(code(a), code(b), [...ts, position.value]), n + 1);
      paint(canvases[i].strip, images.subarray(0, n * PIXELS), n);
      paint(canvases[i].there, images.subarray(n * PIXELS), 1);
      canvases[i].strip.setAttribute("aria-label", `${label}: ${n} steps from ${name(a)} to ${name(b)}`);
      canvases[i].there.setAttribute("aria-label", `${label} at position ${position.value.toFixed(2)}`);
    });
    for (const at of rows.querySelectorAll(".at")) at.textContent = `at ${position.value.toFixed(2)}`;
  };
  const soon = perFrame(draw);
  const name = (k) => `${digits.labels[hundred[k]]} (test image ${digits.test[hundred[k]]})`;
  const [from, to] = ["from", "to"].map((which, i) => {
    const select = control(which);
    hundred.forEach((_, k) => select.append(html("option", { value: k, textContent: name(k) })));
    select.value = hundred.findIndex((row) => digits.labels[row] === [4, 6][i]); // the homework's first pair
    select.addEventListener("input", soon);
    return select;
  });
  const position = slider(control("position"), (v) => `${v.toFixed(2)} of the way`, soon);
  const steps = slider(control("steps"), (v) => `${v} steps, both ends included`, soon);
  const sheet = picture("sheet");
  const all = new Float32Array(hundred.length * PIXELS);
  hundred.forEach((_, k) => all.set(image(k), k * PIXELS));
  paint(sheet, all, 10);
  sheet.addEventListener("click", (event) => {
    const box = sheet.getBoundingClientRect();
    const [column, row] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((v) => Math.min(9, Math.floor(10 * v)));
    const which = el.querySelector('[name="hw2-end"]:checked').value;
    (which === "from" ? from : to).value = 10 * row + column;
    soon();
  });
  draw();
}

// ---- your own digit

// A drawing as MNIST's were prepared: the ink's box scaled to 20 pixels at its longer side, each pixel the average of
// what it covers, and put into 28 × 28 so that the ink's centre of mass is in the middle. ink: side × side, 0 to 1.
function centred(ink, side) {
  const inked = [...ink.keys()].filter((k) => ink[k] > 0.1);
  if (!inked.length) return null;
  const range = (values) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v + 1)], [side, 0]);
  const [left, right] = range(inked.map((k) => k % side));
  const [top, bottom] = range(inked.map((k) => Math.floor(k / side)));
  const scale = 20 / Math.max(right - left, bottom - top);
  const [width, height] = [right - left, bottom - top].map((v) => Math.max(1, Math.round(v * scale)));
  const small = new Float32Array(width * height);
  const count = new Float32Array(width * height);
  for (let y = top; y < bottom; y++)
    for (let x = left; x < right; x++) {
      const k = Math.min(height - 1, Math.floor((y - top) * scale)) * width + Math.min(width - 1, Math.floor((x - left) * scale));
      small[k] += ink[y * side + x];
      count[k] += 1;
    }
  let [mass, mx, my] = [0, 0, 0];
  for (let k = 0; k < small.length; k++) {
    small[k] /= count[k] || 1;
    mass += small[k];
    mx += small[k] * ((k % width) + 0.5);
    my += small[k] * (Math.floor(k / width) + 0.5);
  }
  const [dx, dy] = [Math.round(14 - mx / mass), Math.round(14 - my / mass)];
  const image = new Float32Array(PIXELS);
  for (let k = 0; k < small.length; k++) {
    const [x, y] = [(k % width) + dx, Math.floor(k / width) + dy];
    if (x >= 0 && x < SIDE && y >= 0 && y < SIDE) image[y * SIDE + x] = small[k];
  }
  return image;
}

function ownPanel(el, model, one, moving, digits, classes) {
  const { panel, control, picture, say } = parts(el, "own");
  legend(panel, classes);
  const paper = control("paper");
  const context = paper.getContext("2d", { willReadFrequently: true });
  const side = paper.width;
  const n = model.get("ellipses");
  const colors = digits.labels.slice(0, n).map((label) => classes[label]);
  const first = moving.first(digits.images.subarray(0, n * PIXELS), n);
  let example = null; // 28 × 28, below the strokes
  let strokes = [];

  const drawPaper = () => {
    context.fillStyle = "#000";
    context.fillRect(0, 0, side, side);
    if (example) {
      const small = html("canvas");
      paint(small, example, 1);
      context.imageSmoothingEnabled = false;
      context.drawImage(small, 0, 0, side, side);
    }
    Object.assign(context, { strokeStyle: "#fff", lineWidth: side / 13, lineCap: "round", lineJoin: "round" });
    for (const stroke of strokes) {
      context.beginPath();
      context.moveTo(stroke[0][0] - 0.01, stroke[0][1]); // so that a dot is a line, too
      for (const [x, y] of stroke) context.lineTo(x, y);
      context.stroke();
    }
  };
  const input = () => {
    if (!strokes.length) return example;
    const { data } = context.getImageData(0, 0, side, side);
    return centred(Float32Array.from({ length: side * side }, (_, k) => data[4 * k] / 255), side);
  };
  const draw = () => {
    drawPaper();
    const beta = log.value;
    const x = input();
    const { encode, decode } = one.at(beta);
    const plane = moving.at(beta);
    const around = clouds(plane.encodeFrom(first, n), n, 2);
    const at = `at β = ${betaText(beta)}`;
    paint(picture("input"), x ?? new Float32Array(PIXELS), 1);
    if (!x) {
      paint(picture("reconstruction"), new Float32Array(PIXELS), 1);
      drawClouds(picture("place"), around, 3.2, colors, []);
      picture("code").replaceChildren();
      picture("numbers").replaceChildren();
      const nothing = { "squared error": "nothing drawn", rate: "–", "dimensions above 0.1 nats": "–", "in the plane": "–" };
      say({ ...measures({ beta, error: 0, rate: 0 }), ...nothing }); // as many rows: the paper must not move under a pen
      picture("reconstruction").setAttribute("aria-label", "Nothing is drawn");
      picture("place").setAttribute("aria-label", `${n} test digits ${at}; nothing is drawn`);
      picture("code").setAttribute("aria-label", "Nothing is drawn");
      return;
    }
    const found = encode(x, 1);
    const D = found.length / 2;
    const { mu, sigma } = clouds(found, 1, D);
    const y = decode(mu, 1);
    paint(picture("reconstruction"), y, 1);
    const own = clouds(plane.encode(x, 1), 1, 2);
    const mine = svg("ellipse", { class: "mine", cx: own.mu[0], cy: -own.mu[1], rx: Math.max(own.sigma[0], 0.1), ry: Math.max(own.sigma[1], 0.1) });
    drawClouds(picture("place"), around, 3.2, colors, [mine]);
    const nats = Array.from(mu, (m, d) => kl(m, sigma[d]));
    const used = nats.filter((v) => v > 0.1).length;
    codeChart(picture("code"), mu, sigma, nats);
    picture("numbers").replaceChildren(...numbers(mu, sigma, nats));
    const error = y.reduce((sum, v, k) => sum + (v - x[k]) ** 2, 0);
    const rate = nats.reduce((sum, v) => sum + v, 0);
    say({ ...measures({ beta, error, rate }), "dimensions above 0.1 nats": `${used} of ${D}`, "in the plane": `(${own.mu[0].toFixed(2)}, ${own.mu[1].toFixed(2)})` });
    picture("reconstruction").setAttribute("aria-label", `Your digit painted again ${at}, squared error ${error.toFixed(1)}`);
    picture("place").setAttribute("aria-label", `Your digit among ${n} test digits ${at}, centre ${own.mu[0].toFixed(2)}, ${own.mu[1].toFixed(2)}`);
    picture("code").setAttribute("aria-label", `The code ${at}: ${used} of ${D} dimensions cost more than 0.1 nats; the numbers are in the table below`);
  };
  const soon = perFrame(draw);
  const log = betaSlider(control("beta"), one, 1e-3, soon);
  const start = (x) => { example = x; strokes = []; pen = null; soon(); };

  const where = (event) => {
    const box = paper.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * side, ((event.clientY - box.top) / box.height) * side];
  };
  let pen = null; // the pointer that draws: a palm beside it does not
  paper.addEventListener("pointerdown", (event) => {
    if (pen !== null || event.button !== 0) return;
    paper.setPointerCapture(event.pointerId);
    pen = event.pointerId;
    strokes.push([where(event)]);
    soon();
  });
  paper.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pen) return;
    const between = event.getCoalescedEvents?.() ?? []; // all places since the last frame
    strokes.at(-1).push(...(between.length ? between : [event]).map(where));
    soon();
  });
  for (const kind of ["pointerup", "pointercancel"])
    paper.addEventListener(kind, (event) => { if (event.pointerId === pen) pen = null; });
  control("undo").addEventListener("click", () => { if (!strokes.pop()) example = null; pen = null; soon(); });
  control("clear").addEventListener("click", () => start(null));
  for (let label = 0; label < 10; label++) {
    const row = digits.labels.indexOf(label);
    const x = digits.images.slice(row * PIXELS, (row + 1) * PIXELS);
    const canvas = html("canvas");
    const button = html("button", { type: "button" }, canvas);
    button.setAttribute("aria-label", `start from test digit ${label}`);
    paint(canvas, x, 1);
    button.addEventListener("click", () => start(x));
    control("examples").append(button);
    if (label === 4) example = x;
  }
  draw();
}

// A dot at μ and a line over μ ± σ for each dimension, between −4 and 4; blue where it costs more than 0.1 nats.
function codeChart(chart, mu, sigma, nats) {
  const width = chart.clientWidth || 640; // so that letters have one size on any screen
  chart.setAttribute("viewBox", `0 0 ${width} 170`);
  const x = (d) => 34 + ((width - 40) * (d + 0.5)) / mu.length;
  const y = (v) => 78 - 18 * Math.min(4, Math.max(-4, v));
  const across = { x1: 34, x2: width - 6 };
  const axis = [-4, -2, 0, 2, 4].flatMap((v) => [
    svg("line", { class: "grid", ...across, y1: y(v), y2: y(v) }),
    svg("text", { x: 28, y: y(v) + 4, "text-anchor": "end" }, String(v).replace("-", "−")),
  ]);
  const marks = Array.from(mu, (m, d) => {
    const kind = { class: nats[d] > 0.1 ? "used" : "idle" };
    const line = svg("line", { ...kind, x1: x(d), x2: x(d), y1: y(m - sigma[d]), y2: y(m + sigma[d]) });
    return [line, svg("circle", { ...kind, cx: x(d), cy: y(m), r: 3 })];
  });
  const band = svg("rect", { class: "band", x: 34, width: width - 40, y: y(1), height: y(-1) - y(1) });
  const title = svg("text", { x: width / 2, y: 167, "text-anchor": "middle" }, `the ${mu.length} dimensions of z, in order`);
  chart.replaceChildren(band, ...axis, ...marks.flat(), title);
}

function numbers(mu, sigma, nats) {
  const row = (tag, ...cells) => html("tr", {}, ...cells.map((textContent) => html(tag, { textContent })));
  return [
    row("th", "dimension", "μ", "σ", "KL in nats"),
    ...Array.from(mu, (m, d) => row("td", d, m.toFixed(3), sigma[d].toFixed(3), nats[d].toFixed(2))),
  ];
}

export function render({ model, el }) {
  if (!el.querySelector("[data-panel]")) el.innerHTML = model.get("panels");
  const { images, labels, test } = model.get("digits");
  const digits = { images: pixels(images), labels, test };
  const colors = model.get("colors");
  const [one, moving] = [conditioned(model.get("one")), conditioned(model.get("moving"))];
  betaPanel(el, model, one, digits);
  planePanel(el, model, moving, digits, colors.classes);
  walkPanel(el, model, digits, colors);
  ownPanel(el, model, one, moving, digits, colors.classes);
}

export default { render };
