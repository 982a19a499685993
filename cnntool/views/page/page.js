"use strict";
// The page without this script shows every layer below the other. With it one layer is shown at a
// time, its maps are drawn from the levels in its picture, and everything has an address:
// #LAYER, #LAYER/MAP, #LAYER/MAP/ROW,COLUMN.
document.documentElement.classList.add("js");
document.addEventListener("DOMContentLoaded", () => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const page = JSON.parse($("#numbers").textContent);
  const sections = $$("main > section");
  const links = $$("nav li a");
  const photos = $$("img.photo");
  const choice = { style: page.style || "gray", grid: "layer", map: "map", sort: "number", show: "all", size: 1 };
  let place = { layer: -1, map: null, row: null, column: null };

  const layers = sections.map((section) => {
    const script = $("script", section);
    let data = null, views = null;
    return {
      id: section.id, section,
      get data() { return data ??= script ? JSON.parse(script.textContent) : {}; },
      get views() { return views ??= openedAll(this.data.views || [], $$("img.maps", section)); },
    };
  });

  // Elements.
  function el(tag, props = {}, ...children) {
    const made = Object.assign(document.createElement(tag), props);
    for (const [name, value] of Object.entries(props)) if (name.startsWith("aria-") || name === "role") made.setAttribute(name, value);
    made.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return made;
  }
  const number = (value, digits = 4) =>
    value === null || Number.isNaN(value) ? "NaN" : Number.isInteger(value) && Math.abs(value) < 1e7 ? String(value)
      : Math.abs(value) >= 1e-4 && Math.abs(value) < 1e6 ? String(Number(value.toPrecision(digits))) : value.toExponential(digits - 1);

  // Numbers: base64 of what zlib made of them, little-endian.
  const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  async function inflate(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }
  const ARRAYS = { f4: Float32Array, f8: Float64Array, u2: Uint16Array, i2: Int16Array, i1: Int8Array };
  async function unpack(packed) {
    const bytes = await inflate(bytesOf(packed.data));
    return new ARRAYS[packed.type](bytes.buffer);
  }

  // The samples of a PNG of 8 bits, whatever a browser would make of its colours.
  async function samples(uri) {
    const bytes = bytesOf(uri.slice(uri.indexOf(",") + 1));
    const view = new DataView(bytes.buffer);
    const width = view.getUint32(16), height = view.getUint32(20), channels = bytes[25] === 2 ? 3 : 1;
    const parts = [];
    for (let at = 8; at < bytes.length; at += 12 + view.getUint32(at))
      if (view.getUint32(at + 4) === 0x49444154) parts.push(bytes.subarray(at + 8, at + 8 + view.getUint32(at)));
    const raw = await inflate(await new Blob(parts).arrayBuffer());
    const line = width * channels, found = new Uint8Array(line * height);
    for (let row = 0; row < height; row++) {
      const from = row * (line + 1) + 1, to = row * line, filter = raw[from - 1];
      for (let i = 0; i < line; i++) {
        const a = i < channels ? 0 : found[to + i - channels];
        const b = row ? found[to + i - line] : 0;
        let guess = [0, a, b, (a + b) >> 1][filter];
        if (filter === 4) {
          const c = row && i >= channels ? found[to + i - line - channels] : 0;
          const [da, db, dc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
          guess = da <= db && da <= dc ? a : db <= dc ? b : c;
        }
        found[to + i] = raw[from + i] + guess;
      }
    }
    return { width, channels, samples: found };
  }

  // What a layer makes of one photo: the levels of its maps, 0 to 254, and 255 for NaN.
  const MARK = 255, TOP = 254;
  async function openedAll(views, images) {
    const found = await Promise.all(views.map((view, n) => opened(view, images[n])));
    const maps = found.filter((view) => view?.maps);
    const ends = [Math.min(...maps.flatMap((view) => view.low)), Math.max(...maps.flatMap((view) => view.high))];
    for (const view of maps) view.ends = ends;  // one scale for all photos
    return found;
  }
  async function opened(view, image) {
    if (view.values) return { ...view, vector: await unpack(view.values) };
    if (!view.tile) return null;
    const sheet = await samples(view.levels || image.src);
    const [height, width] = view.tile, [down, across] = view.cell, [top, left] = view.corner;
    const maps = view.numbers.map((_, n) => {
      const levels = new Uint8Array(height * width);
      const y0 = top + Math.floor(n / view.columns) * down, x0 = left + (n % view.columns) * across;
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
        const at = ((y0 + y * view.factor) * sheet.width + x0 + x * view.factor) * sheet.channels;
        const shade = sheet.samples[at];
        levels[y * width + x] = sheet.channels === 3 && sheet.samples[at + 1] !== shade ? MARK : shade - (shade > 127);
      }
      return levels;
    });
    return { ...view, maps };
  }
  const valueOf = (view, n, level) => level === MARK ? NaN : view.low[n] + (view.high[n] - view.low[n]) * level / TOP;

  // Colours.
  function paletteOf(name) {
    const points = page.palettes[name].split(" ").map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    return Array.from({ length: 255 }, (_, level) => {
      const at = level / TOP * (points.length - 1), n = Math.min(Math.floor(at), points.length - 2);
      return points[n].map((value, c) => Math.round(value + (points[n + 1][c] - value) * (at - n)));
    });
  }
  // In the grid all maps have one scale, so that they can be compared; a single one has its own.
  const scaled = () => place.map === null ? "grid" : "map";
  const palettes = {};
  const palette = () => palettes[choice.style] ??= paletteOf(choice.style);
  function limits(view, n) {
    let [from, to] = choice[scaled()] === "layer" ? view.ends : [view.low[n], view.high[n]];
    if (choice.style === "diverging") { to = Math.max(Math.abs(from), Math.abs(to)); from = -to; }
    return [from, to];
  }
  function paint(canvas, values, width, height, [from, to]) {
    const colours = palette(), context = canvas.getContext("2d");
    Object.assign(canvas, { width, height });
    const image = context.createImageData(width, height), span = to - from;
    values.forEach((value, i) => {
      const level = span > 0 ? Math.max(0, Math.min(TOP, Math.round((value - from) / span * TOP))) : 0;
      image.data.set(Number.isNaN(value) ? [255, 0, 255] : colours[level], 4 * i);
      image.data[4 * i + 3] = 255;
    });
    context.putImageData(image, 0, 0);
    return canvas;
  }
  const drawn = (view, n, canvas = el("canvas", { "aria-hidden": "true" })) =>
    paint(canvas, Array.from(view.maps[n], (level) => valueOf(view, n, level)), view.tile[1], view.tile[0], limits(view, n));
  function colourBar([from, to]) {
    const canvas = paint(el("canvas", { "aria-hidden": "true" }), Array.from({ length: 255 }, (_, n) => n), 255, 1, [0, TOP]);
    return el("div", { className: "scale" }, number(from, 3), canvas, number(to, 3));
  }

  // Where one is.
  const names = new Map(layers.map((layer, n) => [layer.id, n]));
  const address = ({ layer, map, row, column }) =>
    "#" + [encodeURI(layers[layer].id).replaceAll("#", "%23"), ...(map === null ? [] : [map]), ...(row === null ? [] : [`${row},${column}`])].join("/");
  function parsed(hash) {
    let text;
    try { text = decodeURIComponent(hash.slice(1)); } catch { text = hash.slice(1); }
    const at = { layer: -1, map: null, row: null, column: null };
    for (const pattern of [/^(.*)$/s, /^(.*)\/(\d+)$/s, /^(.*)\/(\d+)\/(\d+),(\d+)$/s]) {
      const found = pattern.exec(text);
      if (!found) continue;
      const layer = named(found[1]);
      if (layer < 0) continue;
      const [map = null, row = null, column = null] = found.slice(2).map(Number);
      return { layer, map, row, column };
    }
    return at;
  }
  function named(text) {
    if (names.has(text)) return names.get(text);
    return text ? layers.findIndex((layer) => (layer.data.names || []).includes(text)) : -1;
  }
  const go = (change) => { place = { ...place, ...change }; location.hash = address(place); };
  const current = () => layers[place.layer];

  async function show() {
    place = parsed(location.hash);
    const root = document.documentElement, layer = current();
    root.classList.toggle("layer", Boolean(layer));
    sections.forEach((section, n) => section.classList.toggle("current", n === place.layer));
    links.forEach((link, n) => n === place.layer ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current"));
    $$(".panel").forEach((panel) => panel.remove());
    if (!layer) { window.scrollTo(0, 0); return; }
    links[place.layer].scrollIntoView({ block: "nearest" });
    layer.section.classList.toggle("inside", place.map !== null);
    if (!layer.data.views?.length) { layer.section.scrollIntoView(); return; }
    const asked = place, views = await layer.views;
    const panel = !views.every(Boolean) ? null : views[0].vector ? await vectorPanel(layer, views)
      : place.map === null ? layerPanel(layer, views) : await mapPanel(layer, views);
    if (asked !== place) return;  // one went on meanwhile
    layer.section.classList.toggle("live", Boolean(panel) && !views[0].vector);
    if (panel) layer.section.append(panel);
    layer.section.scrollIntoView();
  }

  function select(name, label, options) {
    const made = el("select", { onchange: () => { choice[name] = made.value; show(); } },
      options.map(([value, text]) => el("option", { value, selected: choice[name] === value }, text)));
    return el("label", {}, label, made);
  }
  const tools = (...more) => el("div", { className: "tools" },
    select("style", "colours", Object.keys(page.palettes).map((name) => [name, name])),
    select(scaled(), "scale", [["layer", "one for the layer"], ["map", "each map its own"]]), ...more);

  // A layer: all its maps.
  function layerPanel(layer, views) {
    const mean = (name, n) => views.reduce((sum, view) => sum + view[name][n], 0) / views.length;
    const dead = (n) => views.every((view) => view.zeros[n] === 1);
    let order = views[0].numbers.map((_, n) => n);
    if (choice.sort !== "number") order.sort((a, b) => mean(choice.sort, b) - mean(choice.sort, a) || a - b);
    if (choice.show !== "all") order = order.filter((n) => dead(n) === (choice.show === "dead"));
    const sides = views.map((view) => Math.max(...full(view)));
    // The larger the map, the larger its picture: what was pooled is smaller than what it was made of.
    const side = Math.round(16 * Math.sqrt(Math.max(...sides)) / (1 + .35 * (views.length - 1)));
    const grid = el("div", { className: "grid" });
    grid.style.setProperty("--side", `${side}px`);
    grid.append(...order.map((n) => {
      const which = views[0].numbers[n], told = `mean ${number(mean("mean", n), 3)}`;
      return el("button", { className: dead(n) ? "dead" : "", onclick: () => go({ map: which }), title: `map ${which}, ${told}`,
        "aria-label": `map ${which}, ${told}, largest ${number(mean("max", n), 3)}, zeros ${(100 * mean("zeros", n)).toFixed(0)} %` },
      el("span", {}, views.map((view) => drawn(view, n))), choice.sort === "number" ? String(which)
        : `${which}: ${choice.sort === "zeros" ? `${(100 * mean("zeros", n)).toFixed(0)} %` : number(mean(choice.sort, n), 3)}`);
    }));
    const size = el("input", { type: "range", min: .5, max: 3, step: .25, value: choice.size, "aria-label": "size of the maps",
      oninput: () => { choice.size = size.value; grid.style.setProperty("--zoom", size.value); } });
    grid.style.setProperty("--zoom", choice.size);
    const count = `${order.length} of ${views[0].shape[0]} maps`;
    const bar = choice.grid === "layer" ? [colourBar(limits(views[0], 0))] : [];
    return el("div", { className: "panel" }, tools(
      select("sort", "sort by", [["number", "number"], ["mean", "mean"], ["max", "largest value"], ["zeros", "share of zeros"]]),
      select("show", "show", [["all", "all"], ["alive", "live maps"], ["dead", "dead maps"]]),
      el("label", {}, "size", size), el("span", { role: "status" }, count)), ...bar, grid);
  }

  // A map: large, on the photo, its kernels, its patches, and one of its values.
  async function mapPanel(layer, views) {
    const n = views[0].numbers.indexOf(place.map), panel = el("div", { className: "panel" });
    const step = (by) => views[0].numbers[(n + by + views[0].numbers.length) % views[0].numbers.length];
    const head = el("div", { className: "tools" },
      el("button", { onclick: () => go({ map: null, row: null, column: null }) }, "all maps"),
      n < 0 ? null : el("button", { onclick: () => go({ map: step(-1) }), "aria-label": "the map before" }, "←"),
      n < 0 ? null : el("button", { onclick: () => go({ map: step(1) }), "aria-label": "the next map" }, "→"));
    if (n < 0) {
      panel.append(head, el("p", {}, `Map ${place.map} is not on this page; there are ${views[0].numbers.length} of ${views[0].shape[0]}.`));
      return panel;
    }
    panel.append(head, el("h3", {}, `map ${place.map}`), tools());
    for (const [photo, view] of views.entries()) {
      const large = el("canvas", { className: "pick", tabIndex: 0, role: "img" });
      const over = el("canvas", { role: "img", "aria-label": `map ${place.map} over the photo` });
      panel.append(el("div", { className: "pictures" },
        el("figure", {}, large, colourBar(limits(view, n))),
        el("figure", {}, over, el("figcaption", {}, photos.length > 1 ? photos[photo].alt : "over the photo"))));
      const spot = chosenSpot(view);
      drawLarge(large, view, n, spot);
      large.setAttribute("aria-label", `map ${place.map}; arrow keys choose a value` + (spot ? `; row ${spot[0]}, column ${spot[1]}` : ""));
      await drawOver(over, view, n, photos[photo], spot);
      panel.append(el("p", {}, ["mean", "min", "max"].map((name) => `${name} ${number(view[name][n])}, `), `zeros ${(100 * view.zeros[n]).toFixed(1)} %`));
      const pick = (row, column) => { const [h, w] = full(view);
        history.replaceState(null, "", address({ ...place, row: Math.max(0, Math.min(h - 1, row)), column: Math.max(0, Math.min(w - 1, column)) })); show().then(() => $("canvas.pick", layer.section)?.focus({ preventScroll: true })); };
      large.onclick = (event) => { const box = large.getBoundingClientRect(), [h, w] = full(view);
        pick(Math.floor((event.clientY - box.top) / box.height * h), Math.floor((event.clientX - box.left) / box.width * w)); };
      large.onkeydown = (event) => { const [h, w] = full(view), [row, column] = spot || [h >> 1, w >> 1];
        const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
        if (moves) { event.preventDefault(); event.stopPropagation(); pick(row + (spot ? moves[0] : 0), column + (spot ? moves[1] : 0)); } };
      if (spot) panel.append(await valueOfSpot(layer, view, photo, n, spot));
    }
    if (place.row === null) panel.append(el("p", { className: "what" }, "A click into the map chooses a value: what it sees of the photo, and what it was computed from."));
    panel.append(...await kernelsOf(layer, place.map), ...await patchesOf(layer, place.map));
    return panel;
  }
  const full = (view) => view.shape.slice(1);
  function chosenSpot(view) {
    const [h, w] = full(view);
    return place.row === null || place.row >= h || place.column >= w ? null : [place.row, place.column];
  }
  function drawLarge(canvas, view, n, spot) {
    const small = drawn(view, n), factor = Math.max(1, Math.ceil(420 / Math.max(...view.tile)));
    Object.assign(canvas, { width: small.width * factor, height: small.height * factor });
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, canvas.width, canvas.height);
    if (spot) {
      const [h, w] = full(view);
      box(context, spot[0] / h, spot[1] / w, 1 / h, 1 / w);
    }
  }
  function box(context, top, left, height, width) {  // shares of the canvas
    const { canvas } = context, pixels = [left * canvas.width, top * canvas.height, width * canvas.width, height * canvas.height];
    context.lineWidth = 5; context.strokeStyle = "#000"; context.strokeRect(...pixels);
    context.lineWidth = 2.5; context.strokeStyle = "#fff"; context.strokeRect(...pixels);
  }
  async function drawOver(canvas, view, n, photo, spot) {
    await photo.decode();
    const size = [photo.naturalWidth, photo.naturalHeight], factor = Math.max(1, Math.ceil(420 / Math.max(...size)));
    Object.assign(canvas, { width: size[0] * factor, height: size[1] * factor });
    const context = canvas.getContext("2d");
    context.filter = "grayscale(.75) brightness(.8)";
    context.drawImage(photo, 0, 0, canvas.width, canvas.height);
    context.filter = "none";
    // Where the map is dark the photo shows.
    const mask = el("canvas"), [from, to] = limits(view, n), [h, w] = view.tile;
    Object.assign(mask, { width: w, height: h });
    const inner = mask.getContext("2d"), image = inner.createImageData(w, h), colours = paletteOf("magma");
    view.maps[n].forEach((level, i) => {
      const share = to > from ? Math.max(0, Math.min(1, (valueOf(view, n, level) - from) / (to - from))) : 0;
      image.data.set(level === MARK ? [255, 0, 255, 255] : [...colours[Math.round(share * TOP)], Math.round(230 * share ** .8)], 4 * i);
    });
    inner.putImageData(image, 0, 0);
    context.drawImage(mask, 0, 0, canvas.width, canvas.height);
    const seen = spot && sees(view, spot, size);
    if (seen) box(context, seen[0] / size[1], seen[1] / size[0], (seen[2] - seen[0]) / size[1], (seen[3] - seen[1]) / size[0]);
  }
  function sees(view, [row, column], [width, height]) {
    if (!view.sight) return null;
    const { extent, jump, start, whole } = view.sight;
    if (whole) return [0, 0, height, width];
    const top = Math.round(start[0] + row * jump[0]), left = Math.round(start[1] + column * jump[1]);
    return [top, left, top + Math.round(extent[0]), left + Math.round(extent[1])];
  }
  async function valueOfSpot(layer, view, photo, n, [row, column]) {
    const made = el("div"), [h, w] = full(view), size = [photos[photo].naturalWidth, photos[photo].naturalHeight];
    const level = view.maps[n][Math.floor(row * view.tile[0] / h) * view.tile[1] + Math.floor(column * view.tile[1] / w)];
    const seen = sees(view, [row, column], size);
    made.append(el("h4", {}, `row ${row}, column ${column}: ${view.tile[0] === h ? "" : "near "}${number(valueOf(view, n, level), 3)}`));
    if (seen) made.append(el("p", {}, `It sees rows ${seen[0]} to ${seen[2] - 1}, columns ${seen[1]} to ${seen[3] - 1} of the photo of ${size[1]} x ${size[0]}`
      + (seen[0] < 0 || seen[1] < 0 || seen[2] > size[1] || seen[3] > size[0] ? ", and padding." : ".")));
    made.append(...await sumOf(layer, photo, [place.map, row, column]));
    return made;
  }

  // The sum of products behind one value, from the layer's own numbers.
  const SHOWN = 6;
  async function sumOf(layer, photo, [channel, row, column]) {
    const unit = layer.data.units?.[photo];
    if (!unit) return page.unit_layers.length ? [el("p", { className: "what" }, `The products are on this page for ${page.unit_layers.join(", ")}.`)] : [];
    const kept = unit.channels.indexOf(channel);
    if (kept < 0) return [el("p", { className: "what" }, `The products are on this page for ${unit.channels.length} of ${unit.total} maps: ${unit.channels.slice(0, 40).join(", ")}${unit.channels.length > 40 ? "..." : ""}`)];
    const [maps, weights, pre, post] = await Promise.all([unit.maps, unit.weights, unit.pre, unit.post].map((one) => one && unpack(one)));
    const [inputs, h, w] = unit.maps.shape, [, each, kh, kw] = unit.weights.shape, [, oh, ow] = unit.pre.shape;
    const first = Math.floor(channel / (unit.total / unit.groups)) * each;
    const sums = [];
    let total = 0;
    for (let i = 0; i < each; i++) {
      const window = [], kernel = [], products = [], inside = [];
      let sum = 0;
      for (let y = 0; y < kh; y++) for (let x = 0; x < kw; x++) {
        const r = row * unit.stride[0] + y * unit.dilation[0] - unit.pads[0], c = column * unit.stride[1] + x * unit.dilation[1] - unit.pads[2];
        const within = r >= 0 && c >= 0 && r < h && c < w;
        const value = within ? maps[((first + i) * h + r) * w + c] : 0, weight = weights[((kept * each + i) * kh + y) * kw + x];
        window.push(value); kernel.push(weight); products.push(value * weight); inside.push(within);
        sum += value * weight;
      }
      total += sum;
      sums.push({ input: first + i, window, kernel, products, inside, sum });
    }
    const network = pre[(kept * oh + row) * ow + column], result = total + unit.bias[kept], after = post && post[(kept * oh + row) * ow + column];
    sums.sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum) || a.input - b.input);
    const rest = sums.slice(SHOWN).reduce((sum, one) => sum + one.sum, 0);
    const made = [el("h4", {}, `what it was computed from: ${each} window${each > 1 ? "s" : ""} of ${kh} x ${kw}`)];
    if (kh * kw === 1) made.push(el("table", { className: "total" }, el("tr", {}, ["input", "value", "weight", "product"].map((text) => el("td", {}, text))),
      sums.slice(0, 2 * SHOWN).map((one) => el("tr", {}, [String(one.input), ...[one.window[0], one.kernel[0], one.sum].map((value) => number(value))].map((text) => el("td", {}, text))))));
    else for (const one of sums.slice(0, SHOWN)) made.push(el("div", { className: "sum" }, el("div", { className: "of" }, `input map ${one.input}`),
      matrix(one.window, kw, one.inside), "×", matrix(one.kernel, kw), "=", matrix(one.products, kw), `sum ${number(one.sum)}`));
    const shown = kh * kw === 1 ? 2 * SHOWN : SHOWN, others = sums.slice(shown);
    const rows = [...(others.length ? [[`the other ${others.length} inputs`, others.reduce((sum, one) => sum + one.sum, 0)]] : []),
      [`sum of ${each * kh * kw} products`, total], ["bias", unit.bias[kept]], ["result", result], ["in the network", network],
      ...(after === null || after === undefined ? [] : [[`after ${unit.after}`, after]])];
    const size = sums.reduce((sum, one) => sum + one.products.reduce((a, b) => a + Math.abs(b), 0), Math.abs(unit.bias[kept]));
    const differs = Math.abs(Math.min(unit.limits[1] ?? Infinity, Math.max(unit.limits[0] ?? -Infinity, result)) - network);
    made.push(el("table", { className: "total" }, rows.map(([text, value]) => el("tr", {}, el("th", { scope: "row" }, text), el("td", {}, number(value, 7))))),
      el("p", { className: "what" }, `${differs ? `It differs by ${number(differs, 2)}` : "No difference"}${differs > unit.step * .51 + unit.precision * size ? ", which is more than rounding." : "."}`));
    if (sums.some((one) => one.inside.includes(false))) made.push(el("p", { className: "what" }, "( ) lies outside of the input: zero."));
    return made;
  }
  const matrix = (values, across, inside = null) => el("table", {}, Array.from({ length: values.length / across }, (_, row) =>
    el("tr", {}, values.slice(row * across, (row + 1) * across).map((value, x) => {
      const within = !inside || inside[row * across + x];
      return el("td", { className: within ? "" : "outside" }, within ? number(value, 3) : "( )");
    }))));

  async function kernelsOf(layer, map) {
    const kernels = layer.data.kernels;
    if (!kernels) return [];
    const [, shown, kh, kw] = kernels.shape, [weights, inputs] = await Promise.all([unpack(kernels.weights), unpack(kernels.inputs)]);
    const step = kernels.steps[map], style = choice.style;
    choice.style = "diverging";
    const figures = Array.from({ length: shown }, (_, k) => {
      const at = (map * shown + k) * kh * kw, values = Array.from(weights.slice(at, at + kh * kw), (value) => value * step);
      return el("figure", {}, paint(el("canvas", { role: "img", "aria-label": values.map((value) => number(value, 2)).join(" "), title: values.map((value) => number(value, 2)).join(" ") }), values, kw, kh, [-127 * step, 127 * step]),
        kernels.colours ? kernels.colours[inputs[map * shown + k]] : String(inputs[map * shown + k]));
    });
    const bar = colourBar([-127 * step, 127 * step]);
    choice.style = style;
    return [el("h4", {}, shown === kernels.of ? `its kernel, on ${shown} input map${shown > 1 ? "s" : ""}` : `its kernel, on the ${shown} of ${kernels.of} input maps where it is strongest`),
      el("div", { className: "kernels" }, figures), bar];
  }

  async function patchesOf(layer, map) {
    const { patches } = layer.data;
    if (!patches) return [];
    const [boxes, values] = await Promise.all([unpack(patches.boxes), unpack(patches.values)]);
    const [, most, length] = patches.boxes.shape;
    const rows = Array.from({ length: most }, (_, n) => [...boxes.slice((map * most + n) * length, (map * most + n + 1) * length), values[map * most + n]])
      .filter(([photo]) => photo >= 0);
    if (!rows.length) return [el("p", { className: "what" }, `Nothing in ${page.patches.of} pictures excites this map.`)];
    const figures = rows.map(([photo, top, left, bottom, right, value]) => {
      const canvas = el("canvas", { width: 96, height: 96, role: "img", "aria-label": `of ${page.patches.names[photo]}, value ${number(value, 3)}` });
      const image = new Image();
      image.onload = () => {
        const { w, h } = { w: right - left, h: bottom - top }, side = 96 / Math.max(w, h), context = canvas.getContext("2d");
        const scale = image.naturalWidth / page.patches.sizes[photo][1];
        context.fillStyle = "#888"; context.fillRect(0, 0, 96, 96);
        context.drawImage(image, left * scale, top * scale, w * scale, h * scale, (96 - w * side) / 2, (96 - h * side) / 2, w * side, h * side);
      };
      image.src = page.patches.pictures[photo];
      return el("figure", { title: page.patches.names[photo] }, canvas, `${number(value, 3)} ${page.patches.names[photo]}`);
    });
    return [el("h4", {}, `what excites it most in ${page.patches.of} pictures`), el("div", { className: "patches" }, figures)];
  }

  // A vector: its largest values, or one of them.
  const BARS = 40;
  async function vectorPanel(layer, views) {
    const panel = el("div", { className: "panel" });
    for (const [photo, view] of views.entries()) {
      const values = view.vector, order = [...values.keys()].sort((a, b) => values[b] - values[a] || a - b).slice(0, BARS);
      if (place.map !== null && place.map < values.length && !order.includes(place.map)) order.unshift(place.map);
      const most = Math.max(...order.map((n) => Math.abs(values[n]))) || 1;
      const list = el("div", { className: "values" }, order.flatMap((n) => {
        const canvas = el("canvas", { width: 400, height: 1, "aria-hidden": "true" }), context = canvas.getContext("2d");
        context.fillStyle = getComputedStyle(layer.section).getPropertyValue(values[n] < 0 ? "--mark" : "--kind");
        context.fillRect(0, 0, 400 * Math.abs(values[n]) / most, 1);
        return [el("button", { onclick: () => go({ map: n, row: null, column: null }) }, layer.data.labels ? `${n} ${layer.data.labels[n]}` : String(n)), canvas, number(values[n])];
      }));
      if (photos.length > 1) panel.append(el("h4", {}, photos[photo].alt));
      if (place.map !== null) panel.append(el("h4", {}, `unit ${place.map}${layer.data.labels?.[place.map] ? `: ${layer.data.labels[place.map]}` : ""}, value ${number(values[place.map])}`), ...await sumOf(layer, photo, [place.map, 0, 0]));
      panel.append(el("h4", {}, `the ${Math.min(BARS, values.length)} largest of ${values.length} values`), list);
    }
    if (place.map !== null) panel.append(...await patchesOf(layer, place.map));
    return panel;
  }

  // Search and keys.
  const search = el("input", { type: "search", placeholder: "search /", "aria-label": "search for a layer by any of its names", oninput: look });
  const help = el("dialog", { "aria-label": "keys" }, el("dl", {}, [["/", "search for a layer by any of its names"], ["↑ ↓", "the layer before, the next layer"],
    ["← →", "the map before, the next map; in a map that has the focus, all arrows choose a value"], ["Enter", "the first map; what was searched for"], ["Esc", "back: from a value to its map, its layer, the overview"],
    ["s", "one scale for the layer, or for each map its own"], ["?", "these keys"]].flatMap(([key, text]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, text)])),
  el("button", { onclick: () => help.close() }, "close"));
  function matches(text) {
    const wanted = text.trim().toLowerCase();
    const all = layers.map((layer) => [layer.id, ...(layer.data.names || [])].map((name) => name.toLowerCase()));
    const exact = all.findIndex((list) => list.includes(wanted));
    return { exact, found: all.map((list) => list.some((name) => name.includes(wanted))) };
  }
  function look() {
    const { found } = matches(search.value), some = search.value.trim() !== "";
    links.forEach((link, n) => { link.parentNode.classList.toggle("found", some && found[n]); link.parentNode.classList.toggle("other", some && !found[n]); });
    const first = found.indexOf(true);
    if (some && first >= 0) links[first].scrollIntoView({ block: "nearest" });
  }
  search.onkeydown = (event) => {
    if (event.key === "Enter") {
      const { exact, found } = matches(search.value), layer = exact >= 0 ? exact : found.indexOf(true);
      if (layer >= 0 && search.value.trim()) { search.value = ""; look(); search.blur(); place = { layer, map: null, row: null, column: null }; go({}); }
    } else if (event.key === "Escape") { search.value = ""; look(); search.blur(); }
    event.stopPropagation();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select") || help.open) return;
    const turn = async (by) => {
      const views = (await current()?.views) || [], all = views[0]?.numbers;
      if (all) go({ map: all[((place.map === null ? (by > 0 ? -1 : 0) : all.indexOf(place.map)) + by + all.length) % all.length] });
    };
    const move = (by) => { const layer = Math.max(0, Math.min(layers.length - 1, place.layer + by)); place = { layer, map: null, row: null, column: null }; go({}); };
    const keys = {
      "/": () => search.focus(), "?": () => help.showModal(),
      ArrowDown: () => move(1), ArrowUp: () => move(-1), ArrowRight: () => turn(1), ArrowLeft: () => turn(-1),
      Enter: event.target.matches("a, button, canvas") ? null : () => turn(1),
      s: () => { choice[scaled()] = choice[scaled()] === "layer" ? "map" : "layer"; show(); },
      Escape: () => place.row !== null ? go({ row: null, column: null }) : place.map !== null ? go({ map: null }) : overview(),
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  const overview = () => { location.hash = "#"; };
  $("nav").prepend(el("div", { className: "search" }, search,
    el("button", { onclick: overview, "aria-label": "overview" }, "⌂"), el("button", { onclick: () => help.showModal(), "aria-label": "keys" }, "?")));
  $("main").prepend(el("p", { className: "hint" }, "Choose a layer of the column, or press ↓. All keys: ?"));
  document.body.append(help);
  window.addEventListener("hashchange", show);
  show();
});
