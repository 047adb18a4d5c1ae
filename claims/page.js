// Optional comfort: without this script the page reloads itself, and the address is a plain text field.

// While the invoice may still change: poll, and swap in what changed.
const follow = (section) => {
  const pace = section.dataset.refresh * 1000; // of the reload without a script
  let wait = pace / 4;
  let etag = "";
  const poll = async () => {
    if (document.hidden) return document.addEventListener("visibilitychange", poll, { once: true });
    try {
      const response = await fetch(location.href, { cache: "no-store", headers: etag ? { "If-None-Match": etag } : {} });
      if (response.status === 200) {
        etag = response.headers.get("ETag") ?? "";
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const next = page.querySelector(".status");
        if (next && next.innerHTML !== section.innerHTML) {
          const focused = section.contains(document.activeElement) && document.activeElement.getAttribute("href");
          section.replaceWith(next);
          section = next;
          if (focused) section.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
          const [headline, before] = [section.querySelector("h1").textContent, document.title];
          document.title = page.title;
          if (before !== page.title) document.getElementById("live-status").textContent = headline;
        }
        if (!section.dataset.refresh) return; // final
      }
    } catch {
      // offline: try later
    }
    wait = Math.min(wait * 1.2, pace * 3);
    setTimeout(poll, wait);
  };
  setTimeout(poll, wait);
};

// Suggests communes below the address field.
const suggest = (address, list) => {
  let latest = 0;
  let timer;
  // After the last comma: the commune. Before it: house and street.
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
    clearTimeout(timer);
    const [before, typed] = split();
    const turn = ++latest;
    if (!before || typed.length < 2) return show([]);
    timer = setTimeout(async () => {
      try {
        const response = await fetch(`${list.dataset.url}?q=${encodeURIComponent(typed)}`);
        const { communes } = await response.json();
        if (turn === latest) show(communes);
      } catch {
        show([]); // offline: no suggestions
      }
    }, 150);
  });
};

// On a shared phone the "back" button must not bring back what was typed.
addEventListener("pageshow", () => {
  for (const form of document.forms) form.reset();
});

const section = document.querySelector("[data-refresh]");
if (section) follow(section);
const list = document.getElementById("communes");
if (list) suggest(document.getElementById("address"), list);
