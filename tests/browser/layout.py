"""What is wrong with a page in its window: text too small, parts that overlap or are cut off."""

SMALLEST_TEXT_PX = 13
FAULTS = """([smallest, whole]) => {
  const app = document.querySelector(".alnb-app");
  const seen = (element) => element.checkVisibility({ visibilityProperty: true })
    && element.getBoundingClientRect().width > 0;
  const words = (element) => [element.className.baseVal ?? element.className, element.textContent]
    .join(" ").trim().slice(0, 70);
  const over = [".alnb-help", ".alnb-settings"].map((name) => app.querySelector(name))
    .filter((panel) => panel && seen(panel));
  const faults = [];

  const texts = document.createTreeWalker(app, NodeFilter.SHOW_TEXT);
  const lines = []; // what is written, and where
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const blank = !texts.currentNode.textContent.trim();
    if (blank || element.closest("style, defs") || !seen(element)) continue;
    const size = parseFloat(getComputedStyle(element).fontSize);
    if (size < smallest) faults.push(`${size} px: ${words(element)}`);
    if (element.closest("text")) lines.push(element.closest("text"));
  }
  for (const button of app.querySelectorAll("[class*=alnb-key-]")) {
    const key = getComputedStyle(button, "::after");
    if (key.content !== "none" && parseFloat(key.fontSize) < smallest)
      faults.push(`key of ${words(button)}: ${key.fontSize}`);
  }

  const names = ".alnb-head, button, .nsewdrag, .alnb-question, .alnb-charts, .alnb-why, "
    + ".alnb-bar, .widget-checkbox, .widget-text input, .alnb-small, .alnb-advice, .alnb-message, "
    + ".alnb-teaching, .widget-slider, .annotation-text, .alnb-facts, .alnb-key, .alnb-reading, "
    + "select, .alnb-start-page .widget-label";
  const parts = [...app.querySelectorAll(names)].filter(seen)
    .filter((part) => !part.closest(".alnb-charts") || part.matches(".alnb-charts"))
    .filter((part) => !part.matches(".annotation-text") || part.textContent.trim());
  const box = (part) => part.getBoundingClientRect();
  const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1
    || a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
  const onPicture = (part) => part.matches(".annotation-text, .alnb-reading");
  parts.forEach((part, number) => {
    for (const other of parts.slice(number + 1)) {
      if (part.contains(other) || other.contains(part) || apart(box(part), box(other))) continue;
      if (over.some((panel) => panel.contains(part) !== panel.contains(other))) continue;
      if ([part, other].some(onPicture) && [part, other].some((one) => one.matches(".nsewdrag")))
        continue;
      faults.push(`${words(part)} overlaps ${words(other)}`);
    }
  });

  for (const part of [...parts, ...new Set(lines)]) {
    const at = box(part);
    if (at.left < 0 || at.right > innerWidth + 1) faults.push(`beyond the side: ${words(part)}`);
    if (whole && (at.top < 0 || at.bottom > innerHeight + 1))
      faults.push(`beyond the window: ${words(part)}`);
    const text = part.matches(".alnb-advice, .nsewdrag, text, .annotation-text, select");
    if (!text && part.clientWidth && (part.scrollWidth > part.clientWidth + 1
        || part.scrollHeight > part.clientHeight + 1)) faults.push(`too long: ${words(part)}`);
    for (let around = part.parentElement; around && around !== document.body;
         around = around.parentElement) {
      const style = getComputedStyle(around), edge = box(around);
      if (style.overflowX !== "visible" && (at.left < edge.left - 1 || at.right > edge.right + 1))
        faults.push(`cut at the side: ${words(part)} by ${around.className}`);
      if (app.contains(around) && style.overflowY !== "visible"
          && (at.top < edge.top - 1 || at.bottom > edge.bottom + 1))
        faults.push(`cut: ${words(part)} by ${around.className}`);
      if (around === app) break;
    }
  }
  for (let around = app; around; around = around.parentElement)
    if (getComputedStyle(around).overflowX !== "visible"
        && around.scrollWidth > around.clientWidth)
      faults.push(`scrolls to the side: ${around.className}`);
  if (document.documentElement.scrollWidth > innerWidth) faults.push("the page scrolls");
  return [...new Set(faults)];
}"""
FITS = """() => {
  const boxes = [...document.querySelectorAll(".alnb-app :is(.alnb-figure, .alnb-charts)")];
  const sizes = boxes.map((box) => [box.clientWidth, box.clientHeight].join());
  const drawn = boxes.map((box) => { // the layout is told first and drawn a moment later
    const svg = box.querySelector(".js-plotly-plot .main-svg").getBoundingClientRect();
    return [Math.round(svg.width), Math.round(svg.height)].join();
  });
  const fits = sizes.join(";") === drawn.join(";");
  if (!fits || window.fitted?.sizes !== sizes.join(";"))
    window.fitted = { sizes: sizes.join(";"), since: Date.now() };
  return fits && Date.now() - window.fitted.since >= 200; // nothing moved meanwhile
}"""


def resize(page, width, height):
    """Give the window another size, and wait until the figures follow."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(100)  # the kernel hears of it
    page.wait_for_function(FITS)


def faults(page, *, whole=False):
    """List what is wrong; `whole` asks that nothing has to be scrolled."""
    page.wait_for_function(FITS)
    return page.evaluate(FAULTS, [SMALLEST_TEXT_PX, whole])
