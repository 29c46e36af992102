"use strict";
const STEP = 1.5;
const GRIP_PX = 22;
const QUIET_MS = 250;
const BAR_SHARE = 0.3;
let scrolled = -Infinity;
addEventListener("scroll", () => { scrolled = performance.now(); }, { passive: true });

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

const roundLength = (most) => {
  const power = 10 ** Math.floor(Math.log10(most));
  return power * [5, 2, 1].find((step) => power * step <= most * (1 + 1e-9));
};

const lengthText = (metres) =>
  metres >= 1000 ? `${metres / 1000}\u00a0km` : metres >= 0.995 ? `${+metres.toPrecision(3)}\u00a0m` : `${+(metres * 100).toPrecision(3)}\u00a0cm`;

for (const viewer of document.querySelectorAll(".viewer")) {
  const stage = viewer.querySelector(".stage");
  const swipe = viewer.querySelector("input[name=swipe]");
  const opacity = viewer.querySelector("input[name=opacity]");
  const bar = viewer.querySelector(".scale-bar");
  const picture = stage.querySelector("img");
  const pointers = new Map();
  // Where the picture's upper left corner lies, in shares of the stage, and how much larger than the stage it is.
  const view = { scale: 1, left: 0, top: 0 };
  let mode = "swipe";

  const showSwipe = () => {
    viewer.style.setProperty("--swipe", `${swipe.value}%`);
    viewer.style.setProperty("--opacity", opacity.value / 100);
    swipe.setAttribute("aria-valuetext", `image on the left ${swipe.value} %, map on the rest`);
    opacity.setAttribute("aria-valuetext", `${opacity.value} %`);
  };

  const most = () => Math.max(4, (8 * picture.naturalWidth) / (stage.clientWidth || 1));

  const showView = () => {
    view.left = clamp(view.left, 1 - view.scale, 0);
    view.top = clamp(view.top, 1 - view.scale, 0);
    const zoomed = view.scale > 1;
    stage.style.setProperty("--view", `translate(${100 * view.left}%, ${100 * view.top}%) scale(${view.scale})`);
    stage.classList.toggle("zoomed", zoomed);
    stage.classList.toggle("coarse", view.scale * stage.clientWidth > 1.5 * picture.naturalWidth);
    viewer.querySelector("[name=out]").disabled = viewer.querySelector("[name=all]").disabled = !zoomed;
    viewer.querySelector("[name=in]").disabled = view.scale >= most();
    viewer.querySelector(".zoom output").textContent = zoomed ? `${view.scale.toFixed(1)}\u00a0×` : "";
    if (bar) {
      const visible = bar.dataset.across / view.scale;
      const length = roundLength(visible * BAR_SHARE);
      bar.style.width = `${(100 * length) / visible}%`;
      bar.textContent = lengthText(length);
    }
  };

  const zoom = (factor, x = 0.5, y = 0.5) => {
    const scale = clamp(view.scale * factor, 1, most());
    view.left = x - ((x - view.left) * scale) / view.scale;
    view.top = y - ((y - view.top) * scale) / view.scale;
    view.scale = scale;
    showView();
  };

  const move = (x, y) => {
    view.left += x;
    view.top += y;
    showView();
  };

  const reset = () => {
    Object.assign(view, { scale: 1, left: 0, top: 0 });
    showView();
  };

  const place = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  };

  const follow = ({ x }) => {
    swipe.value = Math.round(100 * x);
    showSwipe();
  };

  // Two fingers: the ground under each stays under it.
  const pinch = (before, after) => {
    const box = stage.getBoundingClientRect();
    const apart = ([a, b]) => Math.hypot((a.x - b.x) * box.width, (a.y - b.y) * box.height);
    const middle = ([a, b]) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
    const [from, to] = [middle(before), middle(after)];
    zoom(apart(after) / (apart(before) || 1), from.x, from.y);
    move(to.x - from.x, to.y - from.y);
  };

  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button")) return;
    const here = place(event);
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, here);
    if (pointers.size > 1) return;
    const offGrip = Math.abs(here.x - swipe.value / 100) * stage.clientWidth > GRIP_PX;
    mode = view.scale > 1 && offGrip ? "move" : "swipe";
    if (mode === "swipe" && event.pointerType === "mouse") follow(here);
  });

  stage.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const here = place(event);
    const before = [...pointers.values()];
    pointers.set(event.pointerId, here);
    if (before.length > 1) pinch(before.slice(0, 2), [...pointers.values()].slice(0, 2));
    else if (mode === "move") move(here.x - last.x, here.y - last.y);
    else follow(here);
  });

  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, (event) => {
      if (pointers.delete(event.pointerId) && pointers.size === 1) mode = view.scale > 1 ? "move" : "none";
      if (mode === "none" && pointers.size === 0) mode = "swipe";
    });
  }

  // A page that is being scrolled goes on past the picture; a wheel turned over a picture at rest zooms.
  stage.addEventListener("wheel", (event) => {
    const outermost = view.scale === 1 && event.deltaY > 0;
    const scrolling = performance.now() - scrolled < QUIET_MS;
    if (!event.ctrlKey && (outermost || scrolling)) {
      scrolled = scrolling ? performance.now() : scrolled;
      return;
    }
    event.preventDefault();
    const here = place(event);
    const speed = event.ctrlKey ? 0.01 : event.deltaMode === 1 ? 0.06 : 0.002;
    zoom(Math.exp(clamp(-speed * event.deltaY, -0.7, 0.7)), here.x, here.y);
  }, { passive: false });

  stage.addEventListener("dblclick", (event) => {
    if (event.target.closest("button")) return;
    const here = place(event);
    zoom(event.shiftKey ? 1 / STEP : STEP, here.x, here.y);
  });

  const keys = {
    "+": () => zoom(STEP),
    "=": () => zoom(STEP),
    "-": () => zoom(1 / STEP),
    "0": reset,
    ArrowLeft: () => move(0.1, 0),
    ArrowRight: () => move(-0.1, 0),
    ArrowUp: () => move(0, 0.1),
    ArrowDown: () => move(0, -0.1),
  };
  stage.addEventListener("keydown", (event) => {
    const act = event.target === stage && !event.ctrlKey && !event.metaKey && !event.altKey && keys[event.key];
    if (!act || (event.key.startsWith("Arrow") && view.scale === 1)) return;
    event.preventDefault();
    act();
  });

  viewer.querySelector("[name=in]").addEventListener("click", () => zoom(STEP));
  viewer.querySelector("[name=out]").addEventListener("click", () => zoom(1 / STEP));
  viewer.querySelector("[name=all]").addEventListener("click", reset);
  swipe.addEventListener("input", showSwipe);
  opacity.addEventListener("input", showSwipe);
  addEventListener("beforeprint", reset);
  for (const part of viewer.querySelectorAll("[hidden]")) part.hidden = false;
  stage.tabIndex = 0;
  showSwipe();
  showView();
}

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
