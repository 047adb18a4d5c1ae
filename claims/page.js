// What makes the page gentler. Without it everything works: the page reloads by itself, the address is a plain line.

// While something is under way: look again, and put in what changed.
const follow = (act) => {
  const pace = act.dataset.again * 1000; // of a page that has to reload itself whole
  let wait = pace / 4;
  let etag = "";
  const look = async () => {
    if (document.hidden) return document.addEventListener("visibilitychange", look, { once: true });
    try {
      const answer = await fetch(location.href, { cache: "no-store", headers: etag ? { "If-None-Match": etag } : {} });
      if (answer.status === 200) {
        etag = answer.headers.get("ETag") ?? "";
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const next = page.querySelector(".act");
        if (next && next.innerHTML !== act.innerHTML) {
          const held = act.contains(document.activeElement) && document.activeElement.getAttribute("href");
          act.replaceWith(next);
          act = next;
          if (held) act.querySelector(`a[href="${CSS.escape(held)}"]`)?.focus();
          const [headline, was] = [act.querySelector("h1").textContent, document.title];
          document.title = page.title;
          if (was !== page.title) document.getElementById("news").textContent = headline;
        }
        if (!act.dataset.again) return; // it is final
      }
    } catch {
      // a bad line: later
    }
    wait = Math.min(wait * 1.2, pace * 3);
    setTimeout(look, wait);
  };
  setTimeout(look, wait);
};

// Suggests communes below the address while it is typed.
const suggest = (address, list) => {
  let asked = 0;
  let pause;
  // What stands after the last comma is the commune; before it, house and street.
  const split = () => {
    const at = address.value.lastIndexOf(",") + 1;
    return [address.value.slice(0, at), address.value.slice(at).trim()];
  };
  const show = (names) => {
    list.replaceChildren(...names.map((name) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
      button.addEventListener("click", () => {
        const [before] = split();
        address.value = before ? `${before} ${name}` : name;
        show([]);
        address.focus();
      });
      const item = document.createElement("li");
      item.append(button);
      return item;
    }));
    list.hidden = names.length === 0;
  };
  address.addEventListener("input", () => {
    clearTimeout(pause);
    const [before, typed] = split();
    const turn = ++asked;
    if (!before || typed.length < 2) return show([]);
    pause = setTimeout(async () => {
      try {
        const answer = await fetch(`${list.dataset.url}?q=${encodeURIComponent(typed)}`);
        const { communes } = await answer.json();
        if (turn === asked) show(communes);
      } catch {
        show([]); // a bad line: the buyer types on
      }
    }, 150);
  });
};

// On a shared telephone "back" brings nothing typed back: only what the server would show.
addEventListener("pageshow", () => {
  for (const form of document.forms) form.reset();
});

const act = document.querySelector("[data-again]");
if (act) follow(act);
const list = document.getElementById("communes");
if (list) suggest(document.getElementById("address"), list);
