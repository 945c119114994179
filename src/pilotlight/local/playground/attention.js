// Where a network looked for each word of a caption: the picture under the heat of one map. Arrow keys go from word to word.

import { button, element, quiet } from "./element.js";
import { blob } from "./pictures.js";

const SIDE = 448;  // pixels of the longer side
const RAMP = [[0, [20, 12, 60]], [.35, [150, 30, 110]], [.67, [245, 110, 50]], [1, [255, 235, 130]]];  // as examples/captioning draws it

export function attention(words, maps, source) {
  const canvas = element("canvas", { className: "attention", width: SIDE, height: SIDE, role: "img" });
  const bar = element("div", { className: "row words", role: "toolbar", "aria-label": "Words of the caption" });
  let picture = null, chosen = 0;
  const choose = (place, focus) => {
    chosen = (place + words.length) % words.length;
    buttons.forEach((each, index) => { each.setAttribute("aria-pressed", index === chosen); each.tabIndex = index === chosen ? 0 : -1; });
    canvas.setAttribute("aria-label", `Where the network looked for “${words[chosen]}”: mostly ${whereabouts(maps[chosen])}`);
    draw(canvas, picture, maps[chosen]);
    if (focus) buttons[chosen].focus();
  };
  const buttons = words.map((word, index) => button(String(word), () => choose(index), { className: "small" }));
  bar.append(...buttons);
  bar.onkeydown = event => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); choose(chosen + step, true); }
  };
  choose(0);
  const bytes = source && blob(source);
  if (bytes) createImageBitmap(bytes).then(found => { picture = found; choose(chosen); }, () => {});
  return element("div", {}, bar, canvas, quiet("Warm where the network looked; the arrow keys go from word to word."));
}

function draw(canvas, picture, map) {
  const [wide, high] = picture ? [picture.width, picture.height] : [map[0].length, map.length];
  const scale = SIDE / Math.max(wide, high);
  canvas.width = Math.max(1, Math.round(wide * scale));
  canvas.height = Math.max(1, Math.round(high * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  if (picture) {
    context.filter = "grayscale(.6)";
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    context.filter = "none";
  }
  context.drawImage(heat(map), 0, 0, canvas.width, canvas.height);
}

// Nothing where no more was looked than evenly, so that a look all around stays pale.
function heat(map) {
  const cells = map.flat(), sum = cells.reduce((total, each) => total + each, 0), even = sum / cells.length;
  const most = Math.max(Math.max(...cells) - even, even, 1e-9);
  const small = element("canvas", { width: map[0].length, height: map.length });
  const pixels = new ImageData(small.width, small.height);
  cells.forEach((each, index) => {
    const level = Math.max(0, Math.min(1, (each - even) / most));
    pixels.data.set([...coloured(level), Math.round(level * .75 * 255)], index * 4);
  });
  small.getContext("2d").putImageData(pixels, 0, 0);
  return small;
}

function coloured(level) {
  const after = Math.max(1, RAMP.findIndex(([at]) => level <= at));
  const [[low, cold], [high, warm]] = [RAMP[after - 1], RAMP[after]];
  return cold.map((each, band) => Math.round(each + (warm[band] - each) * (level - low) / (high - low)));
}

// In words, for who does not see it.
function whereabouts(map) {
  const cells = map.flat(), best = cells.indexOf(Math.max(...cells));
  const third = (at, of, names) => names[Math.min(2, Math.floor((at + .5) / of * 3))];
  const [row, column] = [Math.floor(best / map[0].length), best % map[0].length];
  return `${third(row, map.length, ["at the top", "in the middle", "at the bottom"])}, ${third(column, map[0].length, ["left", "centre", "right"])}`;
}
