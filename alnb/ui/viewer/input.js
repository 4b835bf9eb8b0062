// Tap: what a person does on the panels of a Plotly figure, and keys, sent to the kernel as messages.
//
//   page -> kernel                                                    kernel -> page
//   {kind: "click", id, x, y, panel, screen, shift}                   {kind: "ack", id}
//   {kind: "stroke", id, points: [[x, y], …], screen}                 {kind: "ack", id}
//   {kind: "wheel", id, x, y, panel, screen, turn, shift}             {kind: "ack", id}
//   {kind: "drag", id, dx, dy, screen}                                {kind: "ack", id}
//   {kind: "window", id, dx, dy, hold, screen}                        {kind: "ack", id}
//   {kind: "key", id, key, screen}                                    {kind: "ack", id}
//   {kind: "act", id, name, screen}                                   {kind: "ack", id}
//   {kind: "ping", id}                                                {kind: "pong", id}
//   {kind: "drawn", id, box}
//
// x and y are data coordinates of the panel's axes, dx and dy differences of them; in a window, a drag
// with the right button, they are screen pixels from the press, and hold numbers the presses. screen is the
// figure's layout.meta.screen when the person acted, so that an action during a round trip never
// counts for what is shown next. An act is a press on an element with the class alnb-act-NAME or
// the attribute data-act. The kernel's pongs feed a watchdog.
//
// The boxes around figures follow the window; the kernel lays a figure out for its box. The trait
// `rooms` tells it their sizes, from when the figure in the box has been drawn. What lies under the pointer is read here, from the trait `values`.

const PING_MS = 2000;
const ANSWER_MS = 3000; // a server that does not answer within this is gone
const DRAG_PX = 5; // a hand moves this far in a click
const NOTCH_PX = 40; // a drag over the slice that counts as a notch of the wheel
const MOST_ABOVE_PX = 160; // of a notebook's own bars and the app's cell: all is in view without a scroll
const MARGINS_PX = 20; // of a cell's output, and of the page in it
const ZOOM_A_NOTCH = 1.25; // as STEP in alnb/ui/label: two fingers zoom by as much as they part
const GONE = "The notebook's kernel has ended. Reload the page; nothing is lost.";
const ended = (command) =>
  `alnb has ended, so a reload does not help. Start "${command}" again with the same folder. ` +
  "Everything answered is saved.";

function screenOf(plot) {
  const meta = plot && plot.layout && plot.layout.meta;
  return meta && meta.screen !== undefined ? meta.screen : null;
}

function makeDot(plot, event) {
  const box = plot.getBoundingClientRect();
  const dot = document.createElement("div");
  dot.className = event.shiftKey ? "alnb-tap-dot background" : "alnb-tap-dot";
  dot.style.left = `${event.clientX - box.left}px`;
  dot.style.top = `${event.clientY - box.top}px`;
  plot.appendChild(dot);
  return dot;
}

function makeLine(plot) {
  const ink = document.createElement("div");
  ink.className = "alnb-tap-line";
  ink.innerHTML = "<svg><polyline/></svg>";
  plot.appendChild(ink);
  return { ink, line: ink.querySelector("polyline") };
}

// A line in a panel's lower left corner: the value and the place under the pointer, or at the cursor.
function makeReader(model) {
  const line = document.createElement("div");
  line.className = "alnb-reading";
  line.hidden = true;
  const valueAt = (plot, row, col) => {
    const { number, shape, unit, voxels } = model.get("reading");
    const [height, width] = shape || [0, 0];
    const of = plot._fullLayout && plot.layout.meta && plot.layout.meta.values;
    if (number === undefined || number !== of) return ""; // another slice is being drawn
    if (!(row >= 0 && row < height && col >= 0 && col < width)) return "";
    const bytes = model.get("values");
    const wide = bytes.byteLength === 2 * width * height;
    const place = row * width + col;
    const value = wide ? bytes.getInt16(2 * place, true) : bytes.getUint8(place);
    const signed = String(value).replace("-", "\u2212");
    const at = { row, col, "": 0 };
    const voxel = voxels.map(([along, values]) => values[at[along]]); // i, j, k; none in padding
    const lies = voxel.length && voxel.every(Number.isFinite) ? ` · ${voxel.join(", ")}` : "";
    return `${unit === "HU" ? `${signed} HU` : `${unit} ${signed}`}${lies}`;
  };
  return {
    hide() {
      line.hidden = true;
    },
    show(plot, panel, { x, y }) {
      const words = valueAt(plot, Math.round(y), Math.round(x));
      if (words) {
        if (line.parentElement !== plot) plot.append(line);
        const [box, around] = [panel.getBoundingClientRect(), plot.getBoundingClientRect()];
        line.style.left = `${box.left - around.left}px`;
        line.style.bottom = `${around.bottom - box.bottom}px`;
        line.textContent = words;
      }
      line.hidden = !words;
    },
  };
}

function nameOf(event) {
  const control = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  const shift = event.shiftKey && (control || event.key.length > 1) ? "Shift+" : "";
  const key = event.key === " " ? "Space" : event.key;
  return control + shift + (key.length === 1 ? key.toLowerCase() : key);
}

// A key belongs to what has the focus where that makes sense of it: text fields all keys, buttons
// Enter and the space bar, check boxes the space bar, sliders and lists those that move them.
function belongsToFocus(event) {
  const element = event.target;
  if (element.isContentEditable) return true;
  if (element.closest("button, summary") && (event.key === "Enter" || event.key === " ")) return true;
  if (element.closest("input[type=checkbox]") && event.key === " ") return true;
  if (element.closest("[role=slider], input[type=range], input[type=radio]"))
    return /^(Arrow|Page|Home|End)/.test(event.key);
  return Boolean(element.closest("input:not([type=checkbox]), textarea, select"));
}

// Ask only for the page's head: that starts no kernel, and any answer will do.
async function serverAnswers() {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    await fetch(window.location.href, { method: "HEAD", cache: "no-store", signal });
    return true;
  } catch {
    return false;
  }
}

function watchKernel(model, send, el) {
  const banner = document.createElement("div");
  banner.className = "alnb-kernel-gone";
  banner.setAttribute("role", "alert");
  banner.hidden = true;
  const reload = document.createElement("button");
  reload.textContent = "Reload";
  reload.addEventListener("click", () => window.location.reload());
  const words = document.createElement("span");
  banner.append(words, reload);
  el.append(banner);
  let unanswered = null; // when the oldest ping without a pong was sent
  const silent = () =>
    unanswered !== null && performance.now() - unanswered >= model.get("patience_s") * 1000;
  const tell = async () => {
    const answers = await serverAnswers();
    words.textContent = answers ? GONE : ended(model.get("command"));
    reload.hidden = !answers;
    banner.hidden = !silent(); // it may have answered meanwhile
  };
  const timer = setInterval(() => {
    if (silent()) tell();
    if (unanswered === null) unanswered = performance.now();
    send({ kind: "ping" });
  }, PING_MS);
  return {
    pong() {
      unanswered = null;
      banner.hidden = true;
    },
    stop: () => clearInterval(timer),
  };
}

// Movements come faster than a kernel answers: what adds up while one is on its way goes with the next.
function oneAtATime(send) {
  let flying = null;
  let waiting = null;
  const go = () => {
    flying = waiting && send(waiting);
    waiting = null;
  };
  return {
    add(message, sums) {
      const same = waiting && waiting.kind === message.kind && waiting.panel === message.panel;
      if (same) for (const name of sums) message[name] += waiting[name];
      waiting = message;
      if (flying === null) go();
    },
    done(id) {
      if (id === flying) go();
    },
    flush() {
      if (waiting) go(); // what comes next must not overtake it
    },
  };
}

function render({ model, el }) {
  const dots = new Map();
  const target = () => document.querySelector(`.${model.get("target")} .js-plotly-plot`);
  const scope = () => {
    const box = document.querySelector(`.${model.get("target")}`);
    return box && (box.closest(".alnb-app") || box);
  };
  let next = 0;
  const send = (message) => {
    next += 1;
    try {
      model.send({ ...message, id: next });
    } catch (error) {
      console.warn("alnb: the kernel can't be reached", error); // the watchdog tells the person
    }
    return next;
  };
  const watchdog = watchKernel(model, send, el);
  const moves = oneAtATime(send);

  // Where an event is, on the axes of the panel that it began on.
  const placeOn = (plot, panel, event) => {
    const box = panel.getBoundingClientRect();
    const [, xName, yName] = /^(x\d*)(y\d*)$/.exec(panel.dataset.subplot);
    const axis = (name) => plot._fullLayout[`${name[0]}axis${name.slice(1)}`];
    const x = axis(xName).p2c(event.clientX - box.left);
    return { x, y: axis(yName).p2c(event.clientY - box.top) };
  };

  const under = (event) => {
    if (!(event.target instanceof Element)) return {};
    const plot = event.target.closest(".js-plotly-plot");
    return plot && plot === target() ? { plot, panel: event.target.closest(".nsewdrag") } : {};
  };

  const fingers = new Map(); // that touch a panel, by their pointers' ids
  let pinch = null; // two of them
  const apart = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  };
  const beginPinch = (plot, panel) => {
    dropHand();
    pinch = { plot, panel, from: apart(), screen: screenOf(plot) };
  };
  const onPinch = () => {
    const [a, b] = [...fingers.values()];
    const middle = { clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 };
    const turn = Math.log(apart() / pinch.from) / Math.log(ZOOM_A_NOTCH);
    pinch.from = apart();
    const at = { ...placeOn(pinch.plot, pinch.panel, middle), panel: pinch.panel.dataset.subplot };
    moves.add({ kind: "wheel", ...at, turn, shift: false, screen: pinch.screen }, ["turn"]);
  };

  const reader = makeReader(model);
  let pointed = null; // the panel and the position that the pointer is on
  const read = () => {
    const plot = target();
    const own = plot && plot.querySelector(`.nsewdrag[data-subplot=${model.get("panel")}]`);
    const [row, col] = model.get("cursor") || [];
    if (pointed && pointed.panel.isConnected) {
      reader.show(plot, pointed.panel, placeOn(plot, pointed.panel, pointed.event));
    } else if (own && row !== undefined) reader.show(plot, own, { x: col, y: row });
    else reader.hide();
  };
  const point = (event) => {
    const { plot, panel } = under(event);
    const before = pointed;
    pointed = panel && plot._fullLayout ? { panel, event } : null;
    if (pointed || before) read();
  };

  // The right button held: sideways is width, up and down is level.
  let hold = null;
  let holds = 0;
  let menu = true; // whether a menu may open: some systems open it when the button is let go
  const onHold = (event) => {
    const [dx, dy] = [event.clientX - hold.event.clientX, event.clientY - hold.event.clientY];
    if (!hold.moved && Math.hypot(dx, dy) < DRAG_PX) return;
    hold.moved = true;
    moves.add({ kind: "window", dx, dy, hold: holds, screen: hold.screen }, []);
  };
  const onMenu = (event) => {
    const { panel } = under(event);
    if (menu && (!panel || model.get("locked"))) return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab has a menu of its own
  };

  let hand = null; // what the pressed button is about: a click, until the hand moves
  const onDown = (event) => {
    const { plot, panel } = under(event);
    menu = !(panel && event.button === 2 && !model.get("locked"));
    if (!menu && event.isPrimary) {
      holds += 1;
      hold = { event, screen: screenOf(plot), moved: false };
      event.preventDefault();
      return;
    }
    if (panel && event.pointerType === "touch") fingers.set(event.pointerId, event);
    if (fingers.size === 2 && panel && panel.dataset.subplot === model.get("panel")) {
      beginPinch(plot, panel);
      event.preventDefault();
      return;
    }
    const focus = scope();
    held = plot ? true : held && Boolean(focus) && focus.contains(event.target);
    if (!plot || event.button !== 0 || !event.isPrimary) return;
    if (focus) focus.focus({ preventScroll: true });
    if (!panel || model.get("locked")) return;
    const main = panel.dataset.subplot === model.get("panel");
    hand = { plot, panel, main, event, screen: screenOf(plot), moved: false, points: [] };
    hand.at = placeOn(plot, panel, event);
    if (main) hand.dot = makeDot(plot, event); // the mark itself comes from the kernel
    event.preventDefault(); // else the browser drags a picture
  };

  const onMove = (event) => {
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event);
    if (pinch && fingers.size === 2) onPinch();
    point(event);
    if (hold && !(event.buttons & 2)) hold = null; // it was let go where no event came from
    if (hold) onHold(event);
    if (!hand || !event.isPrimary) return;
    const far = Math.hypot(event.clientX - hand.event.clientX, event.clientY - hand.event.clientY);
    if (!hand.moved && far < DRAG_PX) return;
    if (!hand.moved && hand.dot) hand.dot.remove();
    hand.moved = true;
    if (hand.main) (model.get("drawing") ? draw : drag)(event);
    else leaf(event);
  };

  // Over the slice a drag up or down turns to its neighbours, as the wheel does.
  const leaf = (event) => {
    const turn = ((hand.last || hand.event).clientY - event.clientY) / NOTCH_PX;
    hand.last = event;
    const at = { ...hand.at, panel: hand.panel.dataset.subplot };
    moves.add({ kind: "wheel", ...at, turn, shift: false, screen: hand.screen }, ["turn"]);
  };

  const drag = (event) => {
    const [from, to] = [hand.last || hand.event, event].map((e) => placeOn(hand.plot, hand.panel, e));
    hand.last = event;
    const by = { dx: from.x - to.x, dy: from.y - to.y };
    moves.add({ kind: "drag", ...by, screen: hand.screen }, ["dx", "dy"]);
  };

  const draw = (event) => {
    if (!hand.ink) Object.assign(hand, makeLine(hand.plot), { points: [hand.at], pixels: [] });
    const box = hand.plot.getBoundingClientRect();
    hand.points.push(placeOn(hand.plot, hand.panel, event));
    hand.pixels.push(`${event.clientX - box.left},${event.clientY - box.top}`);
    hand.line.setAttribute("points", hand.pixels.join(" "));
  };

  const onUp = (event) => {
    fingers.delete(event.pointerId);
    if (!fingers.size) pinch = null;
    if (event.button === 2 && hold) {
      hold = null;
      moves.flush();
    }
    if (!hand || !event.isPrimary || event.button !== 0) return;
    const { main, at, screen, panel, dot, ink, moved, points } = hand;
    hand = null;
    if (ink) {
      send({ kind: "stroke", points: points.map(({ x, y }) => [x, y]), screen });
      setTimeout(() => ink.remove(), 300); // until the outline is drawn
    }
    if (moved) return;
    const id = send({
      kind: "click", ...at, panel: panel.dataset.subplot, screen, shift: event.shiftKey,
    });
    if (!main) return; // nothing will be marked there
    dots.set(id, dot);
    setTimeout(() => dot.remove(), 1500);
  };

  const dropHand = () => {
    if (hand && hand.dot) hand.dot.remove();
    if (hand && hand.ink) hand.ink.remove();
    hand = null;
  };

  const onGone = (event) => {
    fingers.delete(event.pointerId);
    if (!fingers.size) pinch = null;
    hold = null;
    dropHand();
  };

  // In a notebook the wheel scrolls, until the picture was pressed: then it is the picture's, as
  // long as nothing outside the app is pressed or has the focus.
  let held = false;
  const onFocus = (event) => {
    const box = scope();
    held = held && Boolean(box) && box.contains(event.target);
  };
  const onWheel = (event) => {
    const { plot, panel } = under(event);
    if (!panel || event.ctrlKey || event.metaKey || !event.deltaY) return;
    if (scroller() && !held) return;
    event.preventDefault();
    event.stopPropagation();
    const lines = event.deltaMode === 1 ? 33 : 1; // Firefox counts lines
    const at = { ...placeOn(plot, panel, event), panel: panel.dataset.subplot };
    const turn = (-event.deltaY * lines) / 100;
    const shift = event.shiftKey || event.altKey;
    moves.add({ kind: "wheel", ...at, turn, shift, screen: screenOf(plot) }, ["turn"]);
  };

  // A press on a button carries the screen that it was meant for, as a click on the figure does.
  const onPress = (event) => {
    if (!(event.target instanceof Element)) return;
    const element = event.target.closest("[data-act], [class*=alnb-act-]");
    const box = scope();
    if (!element || !box || !box.contains(element) || element.disabled) return;
    event.preventDefault();
    event.stopPropagation();
    const name = element.dataset.act || /alnb-act-([\w-]+)/.exec(element.className)[1].replace("-", ":");
    moves.flush();
    send({ kind: "act", name, screen: screenOf(target()) });
    if (event.detail > 0) box.focus({ preventScroll: true }); // by hand: keys go on working
  };

  const onKey = (event) => {
    if (event.altKey || !(event.target instanceof Element)) return;
    const box = scope();
    const ours = box && (event.target === document.body || box.contains(event.target));
    const name = nameOf(event);
    if (name === "Enter" && event.target.closest(".alnb-annotator")) event.target.blur(); // done
    if (!ours || belongsToFocus(event) || !model.get("shortcuts").includes(name)) return;
    event.preventDefault();
    event.stopPropagation();
    const held = event.repeat && model.get("repeating").includes(name);
    const message = { kind: "key", key: name, screen: screenOf(target()) };
    if (held) moves.add(message, []); // of a key that is held the kernel gets as many as it can take
    else if (!event.repeat) {
      moves.flush();
      send(message);
    }
  };

  const onMessage = (message) => {
    if (message.kind === "pong") watchdog.pong();
    if (message.kind !== "ack") return;
    moves.done(message.id);
    setTimeout(pressAll, 50); // what the kernel changed is drawn by then
    const dot = dots.get(message.id);
    dots.delete(message.id);
    if (dot) setTimeout(() => dot.remove(), 60); // until Plotly has drawn the marker that replaces it
  };

  // Plain buttons of which one is on.
  const pressAll = () => {
    for (const one of document.querySelectorAll(".alnb-window-controls button"))
      one.setAttribute("aria-pressed", String(one.classList.contains("mod-info")));
  };

  // What ipywidgets and Plotly leave without a name for a screen reader.
  const nameAll = (box) => {
    for (const one of box.querySelectorAll("[role=slider], input[type=text]")) {
      const widget = one.closest(".jupyter-widgets");
      const label = widget && widget.querySelector(".widget-label");
      const name = (label && label.textContent.trim()) || one.placeholder;
      if (name) one.setAttribute("aria-label", name);
    }
    for (const plot of box.querySelectorAll(".js-plotly-plot")) {
      const pictures = plot === target();
      plot.setAttribute("role", "img");
      plot.setAttribute("aria-label", pictures ? model.get("pictured") : "learning curve");
    }
  };

  const boxes = new Map(); // around figures, by their classes
  const tellRooms = () => {
    const rooms = { ...model.get("rooms") };
    for (const [name, box] of boxes)
      if (box.clientWidth && box.clientHeight) rooms[name] = [box.clientWidth, box.clientHeight];
    if (JSON.stringify(rooms) === JSON.stringify(model.get("rooms"))) return;
    model.set("rooms", rooms);
    model.save_changes();
  };
  const resized = new ResizeObserver(tellRooms);
  const watchRooms = () => {
    for (const name of scope() ? model.get("watched") : []) {
      const box = document.querySelector(`.${name}`);
      if (!box || boxes.get(name) === box || !box.querySelector(".nsewdrag")) continue;
      if (boxes.has(name)) resized.unobserve(boxes.get(name));
      boxes.set(name, box);
      send({ kind: "drawn", box: name });
      resized.observe(box);
    }
  };

  // In a notebook the page is as high as what is seen of the notebook, so that all of it is in view.
  const scroller = () => {
    const box = target();
    return box && box.closest(".jp-WindowedPanel-outer"); // Voila's page has none
  };
  const fitted = new ResizeObserver(() => fit());
  let fits = null; // the notebook that is measured
  const fit = () => {
    const around = scroller();
    const box = around && scope();
    if (!box || !box.querySelector(".alnb-page")) return;
    const from = box.getBoundingClientRect().top - around.getBoundingClientRect().top;
    const above = from + around.scrollTop;
    const left = around.clientHeight - (above < MOST_ABOVE_PX ? above : 0) - MARGINS_PX;
    box.style.setProperty("--tall", `${Math.round(left)}px`);
    if (fits === around) return;
    fits = around;
    fitted.observe(around);
  };

  let heard = null; // the figure that tells when it was drawn
  const makeFocusable = () => {
    watchRooms();
    if (!fits) fit();
    const box = scope();
    if (!box || !target()) return false;
    if (heard !== target() && target().on) { // Plotly gives it that as it draws
      heard = target();
      heard.on("plotly_afterplot", read); // another slice, or the picture moved
    }
    box.tabIndex = 0;
    box.dataset.lmSuppressShortcuts = "true";
    const fitting = target().layout.width === target().closest(`.${model.get("target")}`).clientWidth;
    const drawn = fitting && model.get("watched").every((name) => boxes.has(name));
    if (drawn) el.dataset.ready = "true";
    return drawn;
  };
  const waiting = setInterval(() => makeFocusable() && clearInterval(waiting), 100);
  const naming = setInterval(() => {
    if (!scope()) return;
    nameAll(scope()); // parts come and go
    pressAll();
    watchRooms();
  }, PING_MS);

  if (model.get("session")) {
    const address = new URL(window.location.href); // a reload comes back to the session
    address.searchParams.set("session", model.get("session"));
    window.history.replaceState(window.history.state, "", address);
  }

  el.classList.add("alnb-tap");
  const listeners = {
    pointerdown: onDown, pointermove: onMove, pointerup: onUp, pointercancel: onGone,
    wheel: onWheel, click: onPress, keydown: onKey, focusin: onFocus, contextmenu: onMenu,
  };
  const options = { capture: true, passive: false };
  for (const [name, on] of Object.entries(listeners)) document.addEventListener(name, on, options);
  model.on("msg:custom", onMessage);
  for (const trait of ["reading", "cursor"]) model.on(`change:${trait}`, read);
  return () => {
    clearInterval(waiting);
    clearInterval(naming);
    resized.disconnect();
    fitted.disconnect();
    if (heard) heard.removeListener("plotly_afterplot", read);
    watchdog.stop();
    for (const [name, on] of Object.entries(listeners))
      document.removeEventListener(name, on, options);
    model.off("msg:custom", onMessage);
    for (const trait of ["reading", "cursor"]) model.off(`change:${trait}`, read);
  };
}

export default { render };
