// Tap: what a person does on the panels of a Plotly figure, and keys, sent to the kernel as messages.
//
//   page -> kernel                                                    kernel -> page
//   {kind: "click", id, x, y, panel, screen, shift}                   {kind: "ack", id}
//   {kind: "stroke", id, points: [[x, y], …], screen}                 {kind: "ack", id}
//   {kind: "wheel", id, x, y, panel, screen, turn, shift}             {kind: "ack", id}
//   {kind: "drag", id, dx, dy, screen}                                {kind: "ack", id}
//   {kind: "key", id, key, screen}                                    {kind: "ack", id}
//   {kind: "act", id, name, screen}                                   {kind: "ack", id}
//   {kind: "ping", id}                                                {kind: "pong", id}
//
// x and y are data coordinates of the panel's axes, dx and dy differences of them. screen is the
// figure's layout.meta.screen when the person acted, so that an action during a round trip never
// counts for what is shown next. An act is a press on an element with the class alnb-act-NAME or
// the attribute data-act. The kernel's pongs feed a watchdog.

const PING_MS = 2000;
const ANSWER_MS = 3000; // a server that does not answer within this is gone
const DRAG_PX = 5; // a hand moves this far in a click
const NOTCH_PX = 40; // a drag over the slice that counts as a notch of the wheel
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
  if (element.closest("button") && (event.key === "Enter" || event.key === " ")) return true;
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

  let hand = null; // what the pressed button is about: a click, until the hand moves
  const onDown = (event) => {
    const { plot, panel } = under(event);
    if (panel && event.pointerType === "touch") fingers.set(event.pointerId, event);
    if (fingers.size === 2 && panel && panel.dataset.subplot === model.get("panel")) {
      beginPinch(plot, panel);
      event.preventDefault();
      return;
    }
    if (!plot || event.button !== 0 || !event.isPrimary) return;
    const focus = scope();
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
    if (!hand || !event.isPrimary) return;
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
    dropHand();
  };

  const onWheel = (event) => {
    const { plot, panel } = under(event);
    if (!panel || event.ctrlKey || event.metaKey || !event.deltaY) return;
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
    const dot = dots.get(message.id);
    dots.delete(message.id);
    if (dot) setTimeout(() => dot.remove(), 60); // until Plotly has drawn the marker that replaces it
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

  const makeFocusable = () => {
    const box = scope();
    if (!box || !target()) return false;
    box.tabIndex = 0;
    box.dataset.lmSuppressShortcuts = "true";
    el.dataset.ready = "true";
    return true;
  };
  const waiting = setInterval(() => makeFocusable() && clearInterval(waiting), 100);
  const naming = setInterval(() => scope() && nameAll(scope()), PING_MS); // parts come and go

  el.classList.add("alnb-tap");
  const listeners = {
    pointerdown: onDown, pointermove: onMove, pointerup: onUp, pointercancel: onGone,
    wheel: onWheel, click: onPress, keydown: onKey,
  };
  const options = { capture: true, passive: false };
  for (const [name, on] of Object.entries(listeners)) document.addEventListener(name, on, options);
  model.on("msg:custom", onMessage);
  return () => {
    clearInterval(waiting);
    clearInterval(naming);
    watchdog.stop();
    for (const [name, on] of Object.entries(listeners))
      document.removeEventListener(name, on, options);
    model.off("msg:custom", onMessage);
  };
}

export default { render };
