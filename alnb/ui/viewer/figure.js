// LiveFigure: Plotly's own widget, from a script that a page gets and runs once for all its figures.
//
// anywidget hands no message on to a widget whose script has not run within 2 s of the widget's
// making, however long the page lives. Plotly's takes longer on a busy machine or a slow line, and
// holds up all else while it runs. It is therefore begun when a figure is to be drawn, as all
// widgets have their scripts by then. What the kernel sends a figure that is not drawn yet, it
// sends again afterwards.

const running = new WeakMap(); // by the model that brings the script

async function run(model) {
  const script = await model.widget_manager.get_model(model.get("script").replace("IPY_MODEL_", ""));
  if (!running.has(script)) {
    const url = URL.createObjectURL(new Blob([script.get("code")], { type: "text/javascript" }));
    running.set(script, import(url).finally(() => URL.revokeObjectURL(url)));
  }
  return running.get(script);
}

async function make(model) {
  const plotly = await run(model);
  const widget = await plotly.default();
  await widget.initialize({ model });
  return widget;
}

export default () => {
  let model = null;
  let widget = null;
  return {
    initialize(given) {
      model = given.model; // lives as long as the figure; that of a view ends with it
    },
    async render(view) {
      widget ??= make(model);
      return (await widget).render(view);
    },
  };
};
