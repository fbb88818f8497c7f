// The live part is fetched again and again; when that fails, the page says that it is old. All works without this.
const live = document.querySelector("[data-live]");
const stale = document.querySelector("[data-stale]");
let asking = false;

async function refresh() {
  if (asking || document.hidden) return;
  asking = true;
  try {
    const answer = await fetch(live.dataset.live, { redirect: "error", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const held = live.contains(document.activeElement) || String(getSelection()) !== "";
    if (!held) live.replaceChildren(...fresh.body.childNodes);
    stale.hidden = true;
  } catch {
    stale.hidden = false;
  } finally {
    asking = false;
  }
}

if (live) setInterval(refresh, 2000);
