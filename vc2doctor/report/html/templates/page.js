"use strict";
for (const page of document.querySelectorAll(".vc2doctor:not([data-ready])")) {
  page.dataset.ready = "";
  const status = page.querySelector("[role=status]");
  for (const button of page.querySelectorAll(".command button")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        // The browser refused access to the clipboard: select the command, so that the user can copy it with one key.
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      status.textContent = `${button.textContent}: ${code.textContent}`;
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
}
