// Upload: files from the person's disk, sent to the kernel in pieces, each after the last was taken.
//
//   page -> kernel                                         kernel -> page
//   {kind: "offer", id, files: [[name, size], …]}          {kind: "next", id, file, begin}
//   {kind: "piece", id, file, begin} and the bytes         {kind: "next", id, file, begin}
//   {kind: "broken", id, text}                             nothing: the upload has ended
//
// A piece is far smaller than what a server takes as one message, so a file may have any size.

function render({ model, el }) {
  const button = document.createElement("button");
  const input = document.createElement("input");
  button.className = "jupyter-widgets jupyter-button widget-button";
  button.type = "button";
  button.textContent = model.get("words");
  button.title = model.get("tip");
  Object.assign(input, { type: "file", multiple: true, accept: model.get("accept"), hidden: true });
  const follow = () => (button.disabled = model.get("locked"));
  model.on("change:locked", follow);
  follow();
  button.onclick = () => input.click();

  let number = 0;
  let files = [];
  input.onchange = () => {
    files = [...input.files];
    input.value = ""; // else the same files can't be chosen again
    number += 1;
    const offered = files.map((file) => [file.name, file.size]);
    if (files.length) model.send({ kind: "offer", id: number, files: offered });
  };
  model.on("msg:custom", async ({ kind, id, file, begin }) => {
    if (kind !== "next" || id !== number) return;
    try {
      const piece = await files[file].slice(begin, begin + model.get("piece_bytes")).arrayBuffer();
      model.send({ kind: "piece", id, file, begin }, undefined, [piece]);
    } catch (error) { // the file was moved, or may not be read
      model.send({ kind: "broken", id, text: String(error.message || error) });
    }
  });
  el.append(button, input);
}

export default { render };
