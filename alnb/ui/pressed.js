// A still picture that can be pressed: with the mouse, or with the arrow keys and Enter.
const STEP = 8; // screen pixels that an arrow key moves the cross
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function render({ model, el }) {
  const box = document.createElement("div");
  box.style.cssText = "position: relative; display: inline-block; cursor: crosshair;";
  const image = document.createElement("img");
  image.tabIndex = 0;
  image.draggable = false;
  image.dataset.lmSuppressShortcuts = "true"; // Jupyter leaves its keys alone here
  const cross = document.createElement("div");
  cross.style.cssText =
    "position: absolute; width: 17px; height: 17px; margin: -9px 0 0 -9px; pointer-events: none;" +
    "border: 2px solid #ffd600; border-radius: 50%; box-shadow: 0 0 2px #000; display: none;";
  box.append(image, cross);
  el.append(box);

  let address = "";
  const draw = () => {
    URL.revokeObjectURL(address);
    address = URL.createObjectURL(new Blob([model.get("png")], { type: "image/png" }));
    image.src = address;
    image.width = model.get("width");
    image.alt = model.get("alt");
    image.setAttribute("aria-label", `${image.alt}. Arrow keys and Enter press it.`);
  };
  draw();
  model.on("change:png", draw);

  let at = null; // where the keys have moved to, in screen pixels of the picture
  const press = (x, y) => {
    const by = model.get("width") / image.clientWidth; // a narrow window shrinks it
    model.send({ kind: "press", x: x * by, y: y * by });
  };
  image.addEventListener("click", (event) => press(event.offsetX, event.offsetY));
  image.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow && !(at && (event.key === "Enter" || event.key === " "))) return;
    event.preventDefault();
    event.stopPropagation();
    if (!arrow) return press(...at);
    at = at || [image.clientWidth / 2, image.clientHeight / 2];
    at = [at[0] + STEP * arrow[0], at[1] + STEP * arrow[1]];
    Object.assign(cross.style, { display: "block", left: `${at[0]}px`, top: `${at[1]}px` });
  });
  image.addEventListener("blur", () => (cross.style.display = "none"));
  return () => URL.revokeObjectURL(address);
}

export default { render };
