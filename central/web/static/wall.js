// The wall: the next page takes the place of this one, page after page. Without this file the page refreshes itself.

const wall = document.querySelector("[data-wall]");

const turn = async () => {
  const stale = document.querySelector("[data-stale]");
  try {
    const answer = await fetch(wall.dataset.next, { headers: { accept: "text/html" }, redirect: "error" });
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-wall]");
    if (!answer.ok || !next) throw new Error(`answered ${answer.status}`);
    wall.dataset.next = next.dataset.next;
    wall.replaceChildren(...next.childNodes);
  } catch {
    stale?.removeAttribute("hidden");
  }
};

setInterval(turn, 1000 * Number(wall.dataset.wall));
