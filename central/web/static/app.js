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

// A chart that is wider than the screen begins at its newest points.
for (const chart of document.querySelectorAll(".chart.broad")) chart.scrollLeft = chart.scrollWidth;

// On a narrow screen the navigation is one row, which begins where the page that is shown stands in it.
const here = document.querySelector(".nav [aria-current]");
const row = here?.closest(".nav");
if (row) row.scrollLeft += here.getBoundingClientRect().left - row.getBoundingClientRect().left - row.clientWidth / 3;

// Live parts: the page is fetched again and its parts put in place; after a failure the page says that it is old.
const parts = document.querySelectorAll("[data-live]");
if (parts.length) {
  const tell = (fresh) => document.querySelector("[data-stale]")?.toggleAttribute("hidden", fresh);
  const refresh = async () => {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of answer.ok ? parts : []) {
        const fresh = page.querySelector(`[data-live="${part.dataset.live}"]`);
        if (fresh && !part.contains(document.activeElement)) {
          const boxes = [...part.querySelectorAll(".table")].map((box) => [box.scrollLeft, box.scrollTop]);
          part.replaceChildren(...fresh.childNodes);
          part.querySelectorAll(".table").forEach((box, n) => box.scrollTo(...(boxes[n] ?? [0, 0])));
        }
      }
      const clock = page.querySelector(".clock");
      if (answer.ok && clock) document.querySelector(".clock")?.replaceChildren(...clock.childNodes);
      tell(answer.ok);
    } catch {
      tell(false);
    }
  };
  setInterval(() => { if (!document.hidden) refresh(); }, 5000);
}

// Keys of a control chart: j and k go to the next and previous flagged point, c to the comment, Escape closes the
// point. They can be switched off, since single letters get in the way of speech input.
const chartKeys = document.querySelector("[data-keys]");
if (chartKeys) {
  const store = "lk-keys";
  chartKeys.hidden = false;
  const box = chartKeys.querySelector("input");
  box.checked = localStorage.getItem(store) !== "off";
  box.addEventListener("change", () => localStorage.setItem(store, box.checked ? "on" : "off"));
  const to = {
    j: "[data-next-flag]", k: "[data-previous-flag]", Escape: "[data-close]",
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select");
    if (!box.checked || event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
    if (event.key === "c") {
      const field = document.getElementById("comment");
      if (field) { event.preventDefault(); field.focus(); }
    } else if (to[event.key]) {
      const picked = document.querySelector("[data-close]");
      const link = document.querySelector(to[event.key]) ?? (picked ? null : document.querySelector("[data-flag]"));
      if (link && !(event.key === "Escape" && !picked)) location.assign(link.href);
    }
  });
}
