"use strict";
// Draws the page's charts, and lets its legends pick starts, or bounds, in all of theirs at once.
{
  const study = JSON.parse(document.getElementById("study").textContent);
  const views = new Map();
  const picked = { starts: new Set(), bounds: new Set() };

  async function draw(box) {
    const { rows, spec } = study.figures[box.dataset.figure];
    // Vega marks the rows it is given, so each view gets its own.
    spec.datasets = Object.fromEntries(rows.map((name) => [name, structuredClone(study.rows[name])]));
    const { view } = await vegaEmbed(box, spec, {
      mode: "vega-lite",
      renderer: "svg",
      actions: false,
      ast: true, // interpret expressions instead of compiling them: the page allows no eval
      tooltip: { disableDefaultStyle: true, theme: "page" },
    });
    // The box speaks for the picture as a whole; its marks would only be noise.
    box.querySelector("svg").setAttribute("aria-hidden", "true");
    views.set(box.dataset.figure, view);
  }

  async function drawAll() {
    for (const box of document.querySelectorAll(".chart")) {
      try {
        await draw(box);
      } catch (error) {
        box.classList.add("empty");
        box.textContent = `This picture could not be drawn: ${error.message}`;
      }
    }
    for (const button of document.querySelectorAll("[data-save]")) {
      button.hidden = !views.has(button.dataset.save);
    }
  }

  function show() {
    for (const legend of document.querySelectorAll("[data-group]")) {
      const shown = picked[legend.dataset.group];
      legend.classList.toggle("picking", shown.size > 0);
      for (const button of legend.querySelectorAll("[data-arm]")) {
        button.setAttribute("aria-pressed", String(shown.has(button.dataset.arm)));
      }
      legend.querySelector("[data-all]").hidden = shown.size === 0;
    }
    for (const [name, view] of views) {
      view.signal("picked", [...picked[study.figures[name].group]]).runAsync();
    }
  }

  function pick(button) {
    const shown = picked[button.closest("[data-group]").dataset.group];
    if ("all" in button.dataset) shown.clear();
    else if (!shown.delete(button.dataset.arm)) shown.add(button.dataset.arm);
    show();
  }

  function pickAll() {
    for (const shown of Object.values(picked)) shown.clear();
    show();
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source); // no clipboard here: the reader's own copy works
      button.textContent = "Selected: press Ctrl or ⌘ and C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 3000);
  }

  async function save(name) {
    const drawn = await views.get(name).toSVG();
    const style = getComputedStyle(document.documentElement);
    const colour = (_, variable) => style.getPropertyValue(variable).trim();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(
      new Blob([drawn.replace(/var\((--[\w-]+)\)/g, colour)], { type: "image/svg+xml" }),
    );
    link.download = `pondera-${name}.svg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if ("arm" in button.dataset || "all" in button.dataset) pick(button);
    if ("copy" in button.dataset) copy(button);
    if ("save" in button.dataset) save(button.dataset.save);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") pickAll();
  });
  drawAll();
}
