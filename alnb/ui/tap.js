// Tap: clicks on the panels of a Plotly figure, and keys, sent to the kernel as messages.
//
//   page -> kernel                                   kernel -> page
//   {kind: "click", id, x, y, panel, screen}         {kind: "ack", id}
//   {kind: "key", id, key, screen}                   {kind: "ack", id}
//   {kind: "ping", id}                               {kind: "pong", id}
//
// x and y are data coordinates of the pressed panel's axes; screen is layout.meta.screen of the figure as
// it stood when the person acted, so that an action during a round trip is never taken for one on
// what is shown next. The kernel's pongs feed a watchdog.

const PING_MS = 2000;
const ANSWER_MS = 3000; // a server that does not answer within this is gone
const GONE = "The notebook's kernel is gone: reload the page; nothing is lost.";
const ended = (command) =>
  `alnb has ended, and a reload reaches nothing: start "${command}" again with the same folder. ` +
  "Everything answered is saved.";

function screenOf(plot) {
  const meta = plot && plot.layout && plot.layout.meta;
  return meta && meta.screen !== undefined ? meta.screen : null;
}

function makeDot(plot, event) {
  const box = plot.getBoundingClientRect();
  const dot = document.createElement("div");
  dot.className = "alnb-tap-dot";
  dot.style.left = `${event.clientX - box.left}px`;
  dot.style.top = `${event.clientY - box.top}px`;
  plot.appendChild(dot);
  return dot;
}

function nameOf(event) {
  const control = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  return control + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
}

// A key belongs to what has the focus where that makes sense of it: text fields all keys, buttons
// Enter and the space bar, sliders and lists their arrows.
function belongsToFocus(event) {
  const element = event.target;
  if (element.closest("button") && (event.key === "Enter" || event.key === " ")) return true;
  if (element.isContentEditable) return true;
  return Boolean(element.closest("input:not([type=checkbox]), textarea, select, [role=slider]"));
}

// Ask for the page's head alone: that starts no kernel, and any answer will do.
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

  const onPointer = (event) => {
    if (event.button !== 0 || !event.isPrimary || !(event.target instanceof Element)) return;
    const plot = event.target.closest(".js-plotly-plot");
    if (!plot || plot !== target()) return;
    const panel = event.target.closest(".nsewdrag");
    const focus = scope();
    if (focus) focus.focus({ preventScroll: true });
    if (!panel || model.get("locked")) return;
    const name = panel.dataset.subplot;
    const box = panel.getBoundingClientRect();
    const [, xName, yName] = /^(x\d*)(y\d*)$/.exec(name);
    const axis = (name) => plot._fullLayout[`${name[0]}axis${name.slice(1)}`];
    const x = axis(xName).p2c(event.clientX - box.left);
    const y = axis(yName).p2c(event.clientY - box.top);
    const id = send({ kind: "click", x, y, panel: name, screen: screenOf(plot) });
    if (name !== model.get("panel")) return; // nothing will be marked there
    const dot = makeDot(plot, event);
    dots.set(id, dot);
    setTimeout(() => dot.remove(), 1500);
  };

  const onKey = (event) => {
    if (event.repeat || event.altKey || !(event.target instanceof Element)) return;
    const box = scope();
    const ours = box && (event.target === document.body || box.contains(event.target));
    if (!ours || belongsToFocus(event) || !model.get("shortcuts").includes(nameOf(event))) return;
    event.preventDefault();
    event.stopPropagation();
    send({ kind: "key", key: nameOf(event), screen: screenOf(target()) });
  };

  const onMessage = (message) => {
    if (message.kind === "pong") watchdog.pong();
    if (message.kind !== "ack" || !dots.has(message.id)) return;
    const dot = dots.get(message.id);
    dots.delete(message.id);
    setTimeout(() => dot.remove(), 60); // until Plotly has drawn the marker that replaces it
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

  el.classList.add("alnb-tap");
  document.addEventListener("pointerdown", onPointer, true);
  document.addEventListener("keydown", onKey, true);
  model.on("msg:custom", onMessage);
  return () => {
    clearInterval(waiting);
    watchdog.stop();
    document.removeEventListener("pointerdown", onPointer, true);
    document.removeEventListener("keydown", onKey, true);
    model.off("msg:custom", onMessage);
  };
}

export default { render };
