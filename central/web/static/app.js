// Small comforts. Every page works without this file.

// Filters apply when a choice is made; the button stays for keyboards.
for (const form of document.querySelectorAll("form[data-autosubmit]")) {
  for (const select of form.querySelectorAll("select")) {
    select.addEventListener("change", () => form.requestSubmit());
  }
}

// "/" goes to the search field, unless somebody is typing.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    document.getElementById("search")?.focus();
  }
});

// A signature is sent once, however often the button is pressed.
for (const form of document.querySelectorAll("form[data-sign]")) {
  form.addEventListener("submit", () => {
    const button = form.querySelector("button");
    setTimeout(() => { button.disabled = true; }, 0);
  });
}

// Live parts: the page is fetched again and its part put in place; after a failure the part says that it is old.
const live = document.querySelector("[data-live]");
if (live) {
  const tell = (fresh) => document.querySelector("[data-stale]")?.toggleAttribute("hidden", fresh);
  const refresh = async () => {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector(`[data-live="${live.dataset.live}"]`);
      const clock = page.querySelector(".clock");
      if (answer.ok && fresh && !live.contains(document.activeElement)) {
        live.replaceChildren(...fresh.childNodes);
        document.querySelector(".clock")?.replaceChildren(...clock.childNodes);
      }
      tell(answer.ok);
    } catch {
      tell(false);
    }
  };
  setInterval(() => { if (!document.hidden) refresh(); }, 5000);
}
