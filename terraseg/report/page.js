"use strict";
for (const viewer of document.querySelectorAll(".viewer")) {
  const stage = viewer.querySelector(".stage");
  const swipe = viewer.querySelector("input[name=swipe]");
  const opacity = viewer.querySelector("input[name=opacity]");
  const show = () => {
    viewer.style.setProperty("--swipe", `${swipe.value}%`);
    viewer.style.setProperty("--opacity", opacity.value / 100);
    swipe.setAttribute("aria-valuetext", `image on the left ${swipe.value} %, map on the rest`);
    opacity.setAttribute("aria-valuetext", `${opacity.value} %`);
  };
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    swipe.value = Math.round((100 * (event.clientX - box.left)) / box.width);
    show();
  };
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    follow(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) follow(event);
  });
  swipe.addEventListener("input", show);
  opacity.addEventListener("input", show);
  viewer.querySelector(".controls").hidden = false;
  show();
}
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
